"""Traces as a collector receives them: by OTLP over a real socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="traces need the extra `traces`")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp import Collector

from modelhall.adapters.traces.otlp import OtlpTraces, open_traces

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Spans(Collector):
    """Keeps the spans it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        super().__init__("/v1/traces", self._take)

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans


@pytest.fixture
def collector() -> Iterator[Spans]:
    running = Spans()
    yield running
    running.stop()


@pytest.fixture
def traces(collector: Spans) -> OtlpTraces:
    return open_traces(collector.url)


def test_a_span_is_part_of_the_callers_trace(collector: Spans, traces: OtlpTraces) -> None:
    span = traces.begin("POST /v1", {b"traceparent": f"00-{TRACE}-{CALLER}-01".encode()})
    version, trace, id, flags = span.parent.decode().split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert id != CALLER
    span.end({"http.response.status_code": 200, "modelhall.replica": "bard-0"}, failed=False)
    traces.close()
    (told,) = collector.spans
    assert (told.name, told.trace_id.hex(), told.parent_span_id.hex()) == ("POST /v1", TRACE, CALLER)
    assert told.span_id.hex() == id
    facts = {one.key: one.value for one in told.attributes}
    assert facts["http.response.status_code"].int_value == 200
    assert facts["modelhall.replica"].string_value == "bard-0"
    assert told.end_time_unix_nano >= told.start_time_unix_nano


def test_what_failed_is_marked(collector: Spans, traces: OtlpTraces) -> None:
    traces.begin("POST /v1", {}).end({}, failed=True)
    traces.close()
    assert [told.status.code for told in collector.spans] == [2]


def test_a_trace_that_its_beginning_does_not_sample_is_passed_on_and_not_told(
    collector: Spans, traces: OtlpTraces
) -> None:
    span = traces.begin("POST /v1", {b"traceparent": f"00-{TRACE}-{CALLER}-00".encode()})
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", span.parent.decode())
    span.end({}, failed=False)
    traces.close()
    assert collector.spans == []


@pytest.mark.parametrize(
    "said", [b"", b"nonsense", b"00-%b-%b-01" % (b"0" * 32, b"0" * 16), b"\xff" * 99], ids=range(4)
)
def test_whatever_makes_no_sense_begins_a_trace_of_its_own(traces: OtlpTraces, said: bytes) -> None:
    span = traces.begin("POST /v1", {b"traceparent": said})
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[13]", span.parent.decode())
    span.end({}, failed=False)
    traces.close()
