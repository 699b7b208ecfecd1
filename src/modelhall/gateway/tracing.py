"""A request as a span of a trace: begun where its caller is, gone on with by the replica."""

from __future__ import annotations

from http import HTTPStatus

from modelhall.core.ports.traces import Span, Traces
from modelhall.gateway.messages import Request
from modelhall.gateway.record import Record


def begin(traces: Traces, request: Request) -> Span:
    """A request has come; its replica is told the span as its parent."""
    first = request.path[1:].partition(b"/")[0]  # the whole path would be a name for every service
    span = traces.begin(f"{request.method.decode()} /{first.decode('latin-1')}", request.headers)
    request.traceparent = span.parent
    return span


def end(span: Span, request: Request, record: Record) -> None:
    """It is over. The words are those of OpenTelemetry's semantic conventions, where there are any."""
    facts: dict[str, str | int | float | bool | None] = {
        "http.request.method": request.method.decode(),
        "url.path": request.path.decode("latin-1"),
        "http.response.status_code": record.status,
        "gen_ai.usage.input_tokens": record.tokens_in,
        "gen_ai.usage.output_tokens": record.tokens_out,
        "modelhall.request": request.id,
        "modelhall.service": record.service.path if record.service else None,
        "modelhall.adapter": record.adapter or None,
        "modelhall.replica": record.replica or None,
        "modelhall.version": record.version or None,
        "modelhall.tries": len(record.tries),
        "modelhall.from_cache": record.from_cache,
        "modelhall.first_token_s": record.first_token_s,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    span.end(told, failed=record.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
