"""One request to a service: the replica it is sent to, and those it is sent to when that one fails.

Nothing reaches the caller before a reply has shown to be good, so that a failure can still be hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from modelhall.core.errors import NotNow
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.health import Evidence
from modelhall.gateway.messages import Headers, Request, Response, in_shape
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Route
from modelhall.gateway.upstream import Failure, Reply

UNWILLING = (502, 503, 504)
"""With these a replica says that another may do better."""
WEIGHT = b"x-hall-compute-s"
PASSED_ON = (
    b"accept",
    b"content-encoding",
    b"content-type",
    b"inference-header-content-length",
    b"traceparent",
    b"tracestate",
    b"x-request-timeout-s",
)
"""What a replica sees of the caller's headers; never whose token it was."""
KEPT_BACK = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"upgrade", b"x-request-id")
)
"""What a caller does not see of the replica's headers, together with all `x-hall-` ones."""


class Call(NamedTuple):
    """What is asked of a service."""

    route: Route
    line: bytes
    """The request line as the replica reads it."""
    version: str | None = None
    """The beginning of the version asked for; None takes the service's."""
    idempotent: bool = True
    """Whether it may be sent again when a replica may have seen it already."""


async def forward(call: Call, request: Request, record: Record, now: Callable[[], float]) -> Response:
    """Have the call answered by one replica or another; raises Failure or NotNow when none does."""
    document = call.route.document
    body = await request.read()
    record.bytes_in = len(body)
    headers = _passed_on(request, body)
    tried: set[Endpoint] = set()
    failed: Failure | None = None
    for _ in range(1 + document.retries):
        endpoint = call.route.pick(call.version, tried)
        if endpoint is None:
            if isinstance(failed, _Unwilling):
                return failed.response
            endpoint = await _wait(call, document.try_timeout_s, now, failed)
            tried.clear()
        try:
            reply = await endpoint.send(
                call.line, headers, body, document.try_timeout_s, repeatable=call.idempotent
            )
            response = await _response(reply, endpoint, request, record, now)
        except Failure as failure:
            record.tries.append(failure.evidence.value)
            endpoint.failed(failure.evidence, failure.message, now())
            if failure.sent and not call.idempotent:
                raise
            failed = failure
            tried.add(endpoint)
        else:
            record.tries.append("answered")
            endpoint.answered()
            return response
    if isinstance(failed, _Unwilling):
        return failed.response
    assert failed is not None
    raise failed


class _Unwilling(Failure):
    """A replica answered that it cannot; should no other do better, its answer is as good as ours."""

    def __init__(self, replica: str, response: Response) -> None:
        super().__init__(f"replica {replica} answered {response.status}", Evidence.BAD)
        self.response = response


class _Relay:
    """The body of a reply on its way to the caller; a replica that breaks off here is held to account too."""

    def __init__(self, reply: Reply, endpoint: Endpoint, now: Callable[[], float]) -> None:
        self._reply = reply
        self._endpoint = endpoint
        self._now = now

    def __aiter__(self) -> _Relay:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._reply.__anext__()
        except Failure as failure:
            self._endpoint.failed(failure.evidence, failure.message, self._now())
            raise

    async def aclose(self) -> None:
        self._reply.close()


async def _wait(call: Call, patience_s: float, now: Callable[[], float], failed: Failure | None) -> Endpoint:
    """Wait for a replica that can be asked; raises what went wrong before, or NotNow, when there is none."""
    deadline = now() + patience_s
    while await call.route.change(deadline - now()):
        if endpoint := call.route.pick(call.version, ()):
            return endpoint
    raise failed or NotNow(f"no replica of {call.route.key} is ready", delay_s=1.0)


async def _response(
    reply: Reply, endpoint: Endpoint, request: Request, record: Record, now: Callable[[], float]
) -> Response:
    """The reply as the caller will see it, whole if it can be held. Raises Failure."""
    headers: Headers = []
    streamed = False
    for name, value in reply.headers:
        if name == WEIGHT:
            record.weight = _weight(value)
        elif name not in KEPT_BACK and not name.startswith(b"x-hall-"):
            streamed = streamed or (name == b"content-type" and value.startswith(b"text/event-stream"))
            headers.append((name, value))
    body = None if streamed else await reply.gather()
    record.replica, record.version = endpoint.name, endpoint.version
    if body is None:
        relay = _Relay(reply, endpoint, now)
        return Response(status=reply.status, headers=headers, body=relay, length=reply.length)
    response = in_shape(Response(status=reply.status, headers=headers, body=body), request.path)
    if reply.status in UNWILLING:
        raise _Unwilling(endpoint.name, response)
    return response


def _weight(value: bytes) -> float:
    """The replica's account of its work in seconds; 0 when it makes no sense."""
    try:
        weight_s = float(value)
    except ValueError:
        return 0.0
    return weight_s if math.isfinite(weight_s) and weight_s > 0 else 0.0


def _passed_on(request: Request, body: bytes) -> bytes:
    """The headers for the replica, after the host and up to the body."""
    lines = [b"x-request-id: ", request.id.encode(), b"\r\n"]
    for name in PASSED_ON:
        if value := request.headers.get(name):
            lines += (name, b": ", value, b"\r\n")
    lines.append(b"content-length: %d\r\n\r\n" % len(body))
    return b"".join(lines)
