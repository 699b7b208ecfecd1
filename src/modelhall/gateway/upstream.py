"""The way to one replica: a kept connection, one exchange at a time on it, and the reply as it arrives.

What failed is said here; whether it is tried again, and where, is decided in `forward.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import httptools

from modelhall.core.errors import NotNow
from modelhall.gateway.health import Evidence
from modelhall.gateway.messages import Headers

HELD_BYTES = 1024 * 1024
"""As much of a reply is held for its reader; beyond, the replica has to wait."""
READ_FIRST_S = 0.002
"""Before a replica is held to be silent, what has arrived is read: long enough for one round of the loop."""
COPIED_BYTES = 64 * 1024
"""Up to this a body is copied behind its head, which is cheaper than a second write."""


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


class Patience(NamedTuple):
    """How long a replica may be silent."""

    first_s: float
    """Before the answer begins."""
    next_s: float
    """While it is on its way."""


class Reply:
    """A replica's answer as it arrives; its reader takes it whole with `gather` or piece by piece."""

    __slots__ = (
        "_chunks", "_connection", "_ended", "_failure", "_held_bytes", "_on_end", "_waiter",
        "headers", "length", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, on_end: Callable[[], None]) -> None:
        self.status = 0
        """0 until the head has arrived."""
        self.headers: Headers = []
        self.length: int | None = None
        self._connection = connection
        self._on_end = on_end
        self._chunks: list[bytes] = []
        self._held_bytes = 0
        self._ended = False
        self._failure: Failure | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for status and headers; raises Failure."""
        while not self.status:
            await self._more()

    async def gather(self) -> bytes | None:
        """The whole body, or None when it is too large to be held and comes in pieces. Raises Failure."""
        while not self._ended and self.has_room:
            await self._more()
        if self._failure is not None:
            raise self._failure
        return b"".join(self._chunks) if self._ended else None

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
        held = b"".join(self._chunks)
        self._chunks.clear()
        self._held_bytes = 0
        if not self._ended:
            self._connection.hear_on()
        return held

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        """Take no more of it; a replica that is still at it sees the connection end."""
        if not self._ended:
            self._connection.drop(Failure("the answer is not wanted any more", Evidence.BAD))

    async def _more(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            await self._news()
        except asyncio.CancelledError:
            self.close()
            raise

    def _news(self) -> asyncio.Future[None]:
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    # From the connection.

    @property
    def has_room(self) -> bool:
        return self._held_bytes <= HELD_BYTES

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)

    def wake(self) -> None:
        """Let the reader look at what has arrived."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, failure: Failure | None = None) -> None:
        """Nothing more will come: it is complete, or it failed."""
        self._ended = True
        self._failure = failure
        self._on_end()
        self.wake()


class Connection(asyncio.Protocol):
    """One connection to a replica. It puts itself among the `idle` ones whenever it can be used again."""

    def __init__(self, replica: str, idle: list[Connection]) -> None:
        self._replica = replica
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._reply: Reply | None = None
        self._heard = False
        """Whether anything has come of the reply."""
        self._interim = False
        """Whether what is being read is a 1xx answer, which announces the real one."""
        self._until_close = True
        """Whether only the end of the connection tells where the body ends."""
        self._paused = False
        self._timeout_s = 0.0
        """How long it may be silent now."""
        self._next_s = 0.0
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def send(self, head: bytes, body: bytes, patience: Patience, on_end: Callable[[], None]) -> Reply:
        """Send a request. A silence of the replica longer than it may be fails the reply."""
        self._reply = reply = Reply(self, on_end)
        self._heard = False
        self._until_close = True
        self._timeout_s, self._next_s = patience
        self._watch()
        if len(body) < COPIED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return reply

    def drop(self, failure: Failure) -> None:
        """End the connection, and with `failure` the exchange on it."""
        reply, self._reply = self._reply, None
        self._transport.abort()
        if reply is not None:
            reply.end(failure)

    def hear_on(self) -> None:
        """There is room again for more of the reply."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
            self._watch()

    def close(self) -> None:
        self._transport.close()

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    # From the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self._transport.abort()  # it speaks unasked: nothing on this connection can be trusted
            return
        self._heard = True
        self._deadline = self._loop.time() + self._timeout_s
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.drop(Failure(f"replica {self._replica} did not answer in HTTP/1.1", Evidence.BAD))
            return
        if self._reply is reply and not reply.has_room:
            self._paused = True
            self._deadline = math.inf
            self._transport.pause_reading()
        reply.wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if reply.status and self._until_close and error is None:
            reply.end()
        else:
            message = f"replica {self._replica} broke the connection"
            reply.end(Failure(message, Evidence.GONE, stale=not self._heard))

    # From the parser.

    def on_message_begin(self) -> None:
        if self._reply is None:
            raise ValueError("more than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reply is None or self._reply.status:
            return  # a trailer
        name = name.lower()
        if name == b"content-length":
            self._reply.length = int(value)
            self._until_close = False
        elif name == b"transfer-encoding":
            self._until_close = False
        else:
            self._reply.headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._reply is not None
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self._reply.headers.clear()
        else:
            self._reply.status = status
            if self._timeout_s != self._next_s:
                self._timeout_s = self._next_s
                self._watch()

    def on_body(self, chunk: bytes) -> None:
        assert self._reply is not None
        self._reply.feed(chunk)

    def on_message_complete(self) -> None:
        if self._interim:
            return
        reply, self._reply = self._reply, None
        assert reply is not None
        if self._parser.should_keep_alive():
            self._idle.append(self)
        else:
            self._transport.close()
        reply.end()

    # Time. One timer serves many exchanges: when it rings it looks whether there is anything to wait for.

    def _watch(self) -> None:
        self._deadline = deadline = self._loop.time() + self._timeout_s
        if self._timer is not None and self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check)

    def _check(self, *, again: bool = False) -> None:
        """Look whether the replica has been silent for too long; `again` after what has arrived by now was read.

        When this process has not had its turn for a while, its timers ring before it reads what came meanwhile.
        """
        self._timer = None
        if self._reply is None or self._paused:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check)
        elif not again:
            self._timer = self._loop.call_later(READ_FIRST_S, partial(self._check, again=True))
        else:
            message = f"replica {self._replica} was silent for {self._timeout_s:g} s"
            self.drop(Failure(message, Evidence.SLOW))
