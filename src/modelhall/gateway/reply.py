"""A replica's answer as it arrives, and what may become of an exchange instead."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from modelhall.core.errors import NotNow
from modelhall.gateway.health import Evidence
from modelhall.gateway.messages import Headers

HELD_BYTES = 1024 * 1024
"""As much of a reply is held for its reader; beyond, the replica has to wait."""
WEIGHT = b"x-hall-compute-s"
"""The header by which a replica says how many seconds of work the answer took."""
EVENTS = b"text/event-stream"


class Failure(NotNow):
    """An exchange with a replica did not come to its end."""

    def __init__(self, message: str, evidence: Evidence, *, sent: bool = True, stale: bool = False) -> None:
        super().__init__(message, delay_s=1.0)
        self.status = 504 if evidence is Evidence.SLOW else 502
        self.evidence = evidence
        self.sent = sent
        """Whether the replica may have seen the request."""
        self.stale = stale
        """Whether the replica may just have closed an idle connection while the request was on its way."""


class ReplyHead:
    """How a reply begins, without what is another in each. Those that begin alike share one."""

    __slots__ = ("headers", "shown", "status", "streamed")

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        """Without those that frame the body, and without WEIGHT."""
        self.streamed = any(name == b"content-type" and value.startswith(EVENTS) for name, value in headers)
        """Whether the body comes as events, each of which is worth something."""
        self.shown: Headers | None = None
        """What the caller sees of the headers, once `forward.py` has worked it out."""


class Source(Protocol):
    """The connection that a reply comes by."""

    def waiter(self) -> asyncio.Future[None]:
        """What its reader can wait for."""
        ...

    def go_on(self) -> None:
        """What had come was taken, and more is wanted."""
        ...

    def drop(self, failure: Failure) -> None:
        """End the connection, and with `failure` the exchange on it."""
        ...


class Reply:
    """One answer; its reader waits for it with `arrive` and takes it whole, or piece by piece."""

    __slots__ = (
        "_chunks", "_ended", "_failure", "_held_bytes", "_on_end", "_source", "_waiter",
        "began_at", "head", "length", "weight_s",
    )  # fmt: skip

    def __init__(self, source: Source, on_end: Callable[[], None]) -> None:
        self.head: ReplyHead | None = None
        """None until it has arrived."""
        self.began_at = 0.0
        """When that was, by the loop's clock."""
        self.length: int | None = None
        self.weight_s = 0.0
        self._source = source
        self._on_end = on_end
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._ended = False
        self._failure: Failure | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def arrive(self) -> ReplyHead:
        """Wait for all of it, or for its beginning if it comes in pieces. Raises Failure."""
        while not (self._ended or self.in_pieces):
            try:
                await self._news()
            except asyncio.CancelledError:
                self.close()
                raise
        if self._failure is not None and not self.in_pieces:
            raise self._failure
        assert self.head is not None
        return self.head

    @property
    def in_pieces(self) -> bool:
        """Whether it comes as events, or is too large to be held."""
        head = self.head
        return head is not None and (head.streamed or not (self._ended or self.has_room))

    def whole(self) -> bytes:
        """The body of one that does not come in pieces."""
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> bytes:
        """The next piece; who is cancelled while waiting for it has to close."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            await self._news()
        held = self.whole()
        self._chunks.clear()
        self._held_bytes = 0
        if not self._ended:
            self._source.go_on()
        return held

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Take no more of it; a replica that is still at it sees the connection end."""
        if not self._ended:
            self._source.drop(Failure("the answer is not wanted any more", Evidence.BAD))

    def _news(self) -> asyncio.Future[None]:
        self._waiter = self._source.waiter()
        return self._waiter

    # From the connection.

    @property
    def has_news(self) -> bool:
        """Whether something is here that its reader has not taken."""
        return bool(self._chunks)

    @property
    def has_room(self) -> bool:
        return self._held_bytes <= HELD_BYTES

    def begin(self, head: ReplyHead, at: float) -> None:
        self.head = head
        self.began_at = at

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)

    def end(self, failure: Failure | None = None) -> None:
        """Nothing more will come: it is complete, or it failed."""
        self._ended = True
        self._failure = failure
        self._on_end()

    def wake(self) -> None:
        """Let the reader look at what has arrived."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def seconds(value: bytes) -> float:
    """The replica's account of its work in seconds; 0 when it makes no sense."""
    try:
        weight_s = float(value)
    except ValueError:
        return 0.0
    return weight_s if math.isfinite(weight_s) and weight_s > 0 else 0.0
