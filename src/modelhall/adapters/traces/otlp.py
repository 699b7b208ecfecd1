"""Traces to whatever collects OpenTelemetry's (Jaeger, Tempo, the Collector, …), by OTLP over HTTP.

The SDK hands them on from a thread of its own, in batches; of more than it can hold the rest is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from modelhall.version import __version__

PARENT, STATE = "traceparent", "tracestate"
EXPORT_S = 5.0


def open_traces(url: str) -> OtlpTraces:
    """Hand spans to the collector at a URL, such as http://127.0.0.1:4318/v1/traces; nobody is asked yet."""
    about = Resource.create({"service.name": "modelhall-gateway", "service.version": __version__})
    provider = TracerProvider(resource=about, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=EXPORT_S)))
    return OtlpTraces(provider)


class OtlpTraces:
    """The traces port over one provider. Whether a trace is sampled, its beginning says; one that begins here is."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("modelhall")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, headers: Mapping[bytes, bytes]) -> OtlpSpan:
        said = {
            word: headers[word.encode()].decode("latin-1")
            for word in (PARENT, STATE)
            if word.encode() in headers
        }
        span = self._tracer.start_span(
            name, context=self._propagator.extract(said), kind=trace.SpanKind.SERVER
        )
        return OtlpSpan(span)

    def close(self) -> None:
        self._provider.shutdown()


class OtlpSpan:
    """One span of the SDK's."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def parent(self) -> bytes:
        context = self._span.get_span_context()
        ids = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
        return f"00-{ids[0]}-{ids[1]}-{int(context.trace_flags):02x}".encode()

    def end(self, facts: Mapping[str, str | int | float | bool], *, failed: bool) -> None:
        self._span.set_attributes(dict(facts))
        if failed:
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
