"""One request to a service: what a replica is sent of it, and what the caller sees of the reply.

Nothing reaches the caller before a reply has shown to be good, so that a failure can still be hidden (`tries.py`);
what comes as a stream of events can be gone on with even after that (`resume.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from modelhall.core.adapter_names import HEADER
from modelhall.gateway.counting import UNWILLING
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.messages import Headers, Request, Response, in_shape
from modelhall.gateway.metering import metered
from modelhall.gateway.record import Record
from modelhall.gateway.relay import Relay, Source
from modelhall.gateway.reply import ReplyHead
from modelhall.gateway.resume import RESUMES, Story
from modelhall.gateway.routes import Route, Sought
from modelhall.gateway.shadow import Copy
from modelhall.gateway.tries import Tries, Unwilling
from modelhall.gateway.wishes import VERSION_HEADER
from modelhall.policy.prefixes import blocks_of

FIRST_ERROR = 400
ADAPTER_HEADER = HEADER.encode()
PASSED_ON = (
    b"accept",
    b"content-encoding",
    b"content-type",
    b"inference-header-content-length",
    b"tracestate",
    b"x-request-timeout-s",
)
"""What a replica sees of the caller's headers; never whose token it was."""
KEPT_BACK = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"te", b"trailer", b"upgrade", b"x-request-id")
)
"""What a caller does not see of the replica's headers, together with all `x-hall-` ones."""


class Call:
    """What is asked of a service."""

    __slots__ = ("adapter", "idempotent", "line", "resumable", "route", "source", "version")

    def __init__(
        self,
        *,
        route: Route,
        line: bytes,
        version: str | None = None,
        idempotent: bool = True,
        source: str = "",
        resumable: bool = False,
        adapter: str = "",
    ) -> None:
        self.route = route
        self.adapter = adapter
        """The adapter asked for; empty: the service's own model."""
        self.line = line
        """The request line as the replica reads it."""
        self.version = version
        """The version asked for, by its number or the beginning of its id; None takes the service's."""
        self.idempotent = idempotent
        """Whether it may be sent again when a replica may have seen it already."""
        self.source = source
        """Who asks, from where, for policies that keep callers together."""
        self.resumable = resumable
        """Whether an answer is told as OpenAI's events, which another replica can go on with (`resume.py`)."""


async def forward(call: Call, request: Request, record: Record, now: Callable[[], float]) -> Response:
    """Have the call answered by one replica or another, and metered; raises Failure or NotNow when none does."""
    body = await request.read()
    route = call.route
    blocks = blocks_of(body) if route.by_prompt else None
    release = route.releases.meant_for(call.source, request.id) if call.version is None else None
    sought = Sought(
        version=call.version, source=call.source, blocks=blocks, release=release, adapter=call.adapter
    )
    tries: Tries[Answered] = Tries(route, sought, record, now, idempotent=call.idempotent)
    try:
        answer = await tries.answer(partial(_ask, call, request, body))
    except Unwilling as unwilling:
        return unwilling.response
    _note(call, record, answer)
    # A shadow is another version of the service's own model.
    if route.releases.shadow and call.version is None and not call.adapter:
        _copy(call, request, body, answer.response, now())
    if not isinstance(answer.response.body, bytes):
        answer.response.body = _relay(call, request, body, tries, answer)
    return metered(answer.response, record, now) if call.resumable else answer.response


class Answered:
    """What came of one try that went well."""

    __slots__ = ("response", "source", "weight_s")

    def __init__(self, source: Source, response: Response, weight_s: float) -> None:
        self.source = source
        self.response = response
        self.weight_s = weight_s

    @property
    def streamed(self) -> bool:
        """Whether it comes as events."""
        head = self.source.reply.head
        return head is not None and head.streamed

    def close(self) -> None:
        self.source.reply.close()


async def _ask(call: Call, request: Request, body: bytes, endpoint: Endpoint) -> Answered:
    """Have one replica answer: to the end, unless that comes as events or is too large to be held. Raises Failure."""
    headers = _passed_on(call, request, body)
    sending = endpoint.send(call.line, headers, body, call.route.patience, repeatable=call.idempotent)
    reply = await (sending if endpoint.counting is None else endpoint.counting.of(sending))
    head = reply.head
    assert head is not None
    shown = ((VERSION_HEADER, endpoint.told_version(call.adapter)), *_shown(head))
    if reply.in_pieces:
        response = Response(status=head.status, headers=shown, body=reply, length=reply.length)
        resumes = any(name == RESUMES for name, _ in head.headers)
        return Answered(Source(endpoint, reply, resumes), response, reply.weight_s)
    response = Response(status=head.status, headers=shown, body=reply.whole())
    if head.status >= FIRST_ERROR:
        response = in_shape(response, request.path)
        if head.status in UNWILLING:
            raise Unwilling(endpoint.name, response)
    return Answered(Source(endpoint, reply), response, reply.weight_s)


def _copy(call: Call, request: Request, body: bytes, response: Response, now: float) -> None:
    """Have a version that nobody is answered by do the same, if it is this request's turn."""
    route = call.route
    asked = route.document.rollout.shadow
    if asked is None or response.status >= FIRST_ERROR or not route.shadow.is_due(asked.share):
        return
    answer = response.body if isinstance(response.body, bytes) else None
    copy = Copy(line=call.line, headers=_passed_on(call, request, body), body=body, answer=answer, now=now)
    route.shadow.send(copy, route.releases.shadow, route.patience, busy=route.waiting > 0)


def _relay(call: Call, request: Request, body: bytes, tries: Tries[Answered], first: Answered) -> Relay:
    """The body on its way to the caller, from another replica when the first breaks off."""
    if not call.resumable or not first.streamed or first.response.status != HTTPStatus.OK:
        return Relay(first.source, tries.now)
    first.response.length = None
    left = iter(range(call.route.document.retries))

    async def go_on(rest: bytes, broken: Endpoint) -> Source | None:
        if next(left, None) is None or not call.route.budget.take():
            return None
        answer = await tries.answer(partial(_ask, call, request, rest), broken=broken)
        _note(call, tries.record, answer)
        return answer.source if answer.streamed else None

    return Relay(first.source, tries.now, Story(body), go_on)


def _note(call: Call, record: Record, answer: Answered) -> None:
    endpoint = answer.source.endpoint
    record.replica, record.version = endpoint.name, endpoint.version_of(call.adapter)
    record.weight += answer.weight_s


def _shown(head: ReplyHead) -> Headers:
    """What the caller sees of the headers of a reply."""
    if head.shown is None:
        head.shown = tuple(
            (name, value)
            for name, value in head.headers
            if name not in KEPT_BACK and not name.startswith(b"x-hall-")
        )
    return head.shown


def _passed_on(call: Call, request: Request, body: bytes) -> bytes:
    """The headers for the replica, after the host and up to the body."""
    head = request.head
    if head.passed_on is None:
        found = ((name, head.headers.get(name)) for name in PASSED_ON)
        head.passed_on = b"".join(b"%b: %b\r\n" % (name, value) for name, value in found if value)
    trace = b"traceparent: %b\r\n" % request.traceparent if request.traceparent else b""
    adapter = b"%b: %b\r\n" % (ADAPTER_HEADER, call.adapter.encode()) if call.adapter else b""
    return b"x-request-id: %b\r\n%b%b%bcontent-length: %d\r\n\r\n" % (
        request.id.encode(), trace, adapter, head.passed_on, len(body),
    )  # fmt: skip
