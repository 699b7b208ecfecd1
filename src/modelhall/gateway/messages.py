"""A request and its response, as the gateway's parts hand them to each other.

A handler gets a request as soon as its head has arrived, asks for the body when it wants it, and answers.
Nothing here knows sockets or services; `caller.py` fills requests and writes responses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from modelhall.core import openai_error, strict_json
from modelhall.core.errors import HallError, NotNow, OverLimit, Rejected
from modelhall.gateway.outbox import Outbox

Headers = tuple[tuple[bytes, bytes], ...]

JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
ABOUT_BODY = (b"content-type", b"content-encoding")
LONGEST_WORDS = 1000
"""As much is told of what a replica says in a shape of its own."""
CLIENT_CLOSED = 499
"""What is counted when the caller went away before the answer (nginx's number; it is never sent)."""


class Chunks(Protocol):
    """A body that comes piece by piece."""

    def __aiter__(self) -> Chunks: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Let go of where it comes from, whether or not it was read to the end."""
        ...


class Response:
    """Status, headers (without those that frame the body) and a body, whole or in chunks as they come."""

    __slots__ = ("body", "headers", "length", "status")

    def __init__(
        self, *, status: int, headers: Headers, body: bytes | Chunks, length: int | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.length = length
        """Bytes of a body that comes in chunks, where known."""


class Outlet(Protocol):
    """The way back to the caller of one connection."""

    address: str
    """Where the caller is; empty when that cannot be known."""

    def hold(self, size_bytes: int) -> None:
        """Make room for more of a body; raises NotNow when too much is held for all callers together."""
        ...

    def invite_body(self) -> None:
        """Tell a caller who asked first (`Expect: 100-continue`) that the body is welcome."""
        ...

    def answer(self, request: Request, response: Response) -> Awaitable[int]:
        """Write a response, as fast as the caller reads it; return the bytes of body written."""
        ...


class Head:
    """How a request begins. Requests of one connection that begin with the same bytes share one."""

    __slots__ = ("headers", "keep_alive", "method", "passed_on", "path", "version")

    def __init__(
        self, *, method: bytes, path: bytes, version: str, headers: dict[bytes, bytes], keep_alive: bool
    ) -> None:
        self.method = method
        self.path = path
        """As sent, without the query."""
        self.version = version
        """1.1 or 1.0."""
        self.headers = headers
        """By lower-case name, without the length; values of one name joined by commas."""
        self.keep_alive = keep_alive
        self.passed_on: bytes | None = None
        """The lines that a replica is sent of it, once `forward.py` has worked them out."""


class Request:
    """One request from its head on. The task that handles it is cancelled when the caller goes away."""

    __slots__ = (
        "_chunks",
        "_outlet",
        "_problem",
        "_waiter",
        "address",
        "head",
        "headers",
        "id",
        "keep_alive",
        "method",
        "path",
        "size_bytes",
        "traceparent",
        "version",
        "whole",
    )

    def __init__(self, *, id: str, head: Head, outlet: Outlet) -> None:
        self.id = id
        self.head = head
        self.method = head.method
        self.path = head.path
        self.version = head.version
        self.headers = head.headers
        self.keep_alive = head.keep_alive
        self.size_bytes = 0
        """As much of the body as has arrived."""
        self.traceparent = head.headers.get(b"traceparent")
        """What of a trace its replica is told to be a part of."""
        self.whole = False
        """Whether the body has arrived to its end."""
        self.address = outlet.address
        """Where the caller is."""
        self._outlet = outlet
        self._chunks: list[bytes] = []
        self._problem: HallError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The body; raises Rejected when it is too large, malformed or too slow."""
        if not self.whole and self._problem is None:
            self._outlet.invite_body()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._problem is not None:
            raise self._problem
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def answer(self, response: Response) -> Awaitable[int]:
        """Send the response; return the bytes of body the caller was sent."""
        return self._outlet.answer(self, response)

    def feed(self, chunk: bytes) -> None:
        """More of the body has arrived; raises NotNow when there is no room for it."""
        self._outlet.hold(len(chunk))
        self.size_bytes += len(chunk)
        self._chunks.append(chunk)

    def end(self, problem: HallError | None = None) -> None:
        """The body is whole, or will never be because of `problem`."""
        self.whole = problem is None
        self._problem = problem
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Handler(Protocol):
    """What a server needs of whoever answers the requests."""

    outbox: Outbox
    """By which answers leave."""

    async def handle(self, request: Request) -> None:
        """Answer the request, whatever it is."""
        ...

    def refused(self, status: int) -> None:
        """Take note of bytes that never became a request and were answered with `status`."""
        ...


def as_json(value: object, status: int = 200) -> Response:
    return Response(status=status, headers=(JSON,), body=json.dumps(value).encode())


def refusal(error: HallError, path: bytes = b"") -> Response:
    """An error as the caller at this path sees it: `{"error": …}`, and when to come back if that would help."""
    told = openai_error.shaped(error) if _is_openai(path) else {"error": str(error)}
    response = as_json(told, error.status)
    if isinstance(error, NotNow):
        response.headers += ((b"retry-after", b"%d" % max(1, round(error.delay_s))),)
    if isinstance(error, OverLimit):
        response.headers += error.headers
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers += ((b"www-authenticate", b"Bearer"),)
    return response


def in_shape(response: Response, path: bytes) -> Response:
    """A replica's refusal as the caller at this path sees it: as it is, or else its words as `{"error": …}`.

    What is no refusal, or still on its way, is passed on as it is.
    """
    body = response.body
    if response.status < HTTPStatus.BAD_REQUEST or not isinstance(body, bytes):
        return response
    with contextlib.suppress(Rejected):
        said = strict_json.loads(body)
        if isinstance(said, dict) and isinstance(said.get("error"), dict if _is_openai(path) else str):
            return response
    words = body[:LONGEST_WORDS].decode(errors="replace").strip() or HTTPStatus(response.status).phrase
    told = openai_error.body(words, response.status) if _is_openai(path) else {"error": words}
    shaped = as_json(told, response.status)
    shaped.headers += tuple(header for header in response.headers if header[0] not in ABOUT_BODY)
    return shaped


def _is_openai(path: bytes) -> bool:
    return openai_error.is_below(path.decode("latin-1"))


def head(response: Response, *, request_id: str, framing: bytes, close: bool) -> bytes:
    """Status line and headers; `framing` is the ready header line that says where the body ends."""
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    return b"%bx-request-id: %b\r\n%b%b" % (
        _start(response.status, response.headers), request_id.encode(), framing, end,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _start(status: int, headers: Headers) -> bytes:
    """What many answers begin with."""
    lines = [_STATUS_LINES.get(status) or _status_line(status, "")]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    return b"".join(lines)


def _status_line(status: int, phrase: str) -> bytes:
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_STATUS_LINES = {int(status): _status_line(status, status.phrase) for status in HTTPStatus}
