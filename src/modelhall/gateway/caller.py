"""One caller's connection: when it is read, how long things may take, and how answers are written to it.

Requests of one connection are handled one after the other, so that pipelined answers keep their order. How
bytes become requests is `reader.py`'s; whose request it is and what it asks for, the handler knows.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from modelhall.core.errors import Broken, HallError, NotNow, Rejected
from modelhall.gateway.limits import Limits, Room
from modelhall.gateway.messages import Chunks, Handler, Request, Response, head, refusal
from modelhall.gateway.reader import RequestReader

log = logging.getLogger(__name__)


class CallerConnection(asyncio.Protocol):
    """Has requests handled in order and writes what is answered; it is its requests' `Outlet`."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        new_id: Callable[[], str],
        peers: set[CallerConnection],
        room: Room,
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._new_id = new_id
        self._peers = peers
        self._room = room
        self._held_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(limits.sizes, new_id, self, self._take)
        self._outbox = handler.outbox
        self._transport: Any = None
        self.address = ""
        self._queue: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._answering: Request | None = None
        """The newest request whose answer has begun."""
        self._refused: HallError | None = None
        self._deaf = False
        """Whether what still arrives is thrown away."""
        self._paused = False
        """Whether the caller is not listened to, since enough of its requests wait."""
        self._draining = False
        self._drained: asyncio.Future[None] | None = None
        """Set while the caller reads slower than is written; done when it has caught up."""
        self._hung_up = False
        self._changes = 0
        """Counts what has happened, so that `check` sees whether it still waits for the same."""
        self._seen: tuple[str, int] | None = None
        self._deadline = math.inf
        self._arriving: Request | None = None
        """The request whose body is waited for."""
        self._since = 0.0
        """When that began, or the end of the connection did."""

    # From the server.

    def check(self, now: float) -> None:
        """Give up on what has taken too long. What a connection waits for is looked at here only, every now and
        then, and not whenever it changes: that is often."""
        waits = self._waits_for()
        seen = waits, self._reader.begun if waits == "head" else self._changes
        if seen != self._seen:
            self._seen = seen
            self._deadline = self._deadline_of(waits, now)
        if now < self._deadline:
            return
        self._deadline = math.inf
        if waits == "head":
            self._refuse(Rejected(f"the head did not arrive within {self._limits.head_s} s", status=408))
        elif waits == "body":
            self._refuse(Rejected(f"the body arrives too slowly: {self._limits.pace}", status=408))
        else:
            self.abort()

    def drain(self) -> None:
        """Finish what has been asked, then close."""
        self._draining = True
        if self._task is None and not self._reader.in_head:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    # From the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._peers.add(self)
        if len(self._peers) > self._limits.connections:
            self._refuse(NotNow(f"{self._limits.connections} connections are open already", delay_s=1))

    def data_received(self, data: bytes) -> None:
        self._changes += 1
        if self._deaf:
            return
        try:
            self._reader.feed(data)
        except HallError as error:
            self._refuse(error)
            return
        if len(self._queue) > 1 and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False  # a caller who closes its side has gone; the transport then closes ours

    def connection_lost(self, error: Exception | None) -> None:
        self._peers.discard(self)
        self._deaf = True
        self._deadline = math.inf
        self._let_go(self._held_bytes)
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._changes += 1
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # From the requests.

    def hold(self, size_bytes: int) -> None:
        if size_bytes > self._room.left_bytes:
            raise NotNow("too much of others' requests is on its way; send it again in a moment", delay_s=1.0)
        self._room.left_bytes -= size_bytes
        self._held_bytes += size_bytes

    def _let_go(self, size_bytes: int) -> None:
        size_bytes = min(size_bytes, self._held_bytes)  # nothing is held any more when the caller has gone
        self._room.left_bytes += size_bytes
        self._held_bytes -= size_bytes

    def invite_body(self) -> None:
        request = self._reader.open
        if request is None or request.version != "1.1":
            return
        if request.headers.get(b"expect", b"").lower() == b"100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def answer(self, request: Request, response: Response) -> int:
        self._answering = request
        body = response.body
        if not isinstance(body, bytes):
            return await self._stream(request, response, body)
        start = self._head(request, response, b"content-length: %d\r\n" % len(body))
        self._write(start if request.method == b"HEAD" else start + body)
        if self._drained is not None:
            await self._drained
        return len(body)

    async def _stream(self, request: Request, response: Response, body: Chunks) -> int:
        """Write a body as it comes; the caller's pace is the pace at which it is asked for."""
        framing, chunked = b"", False
        if response.length is not None:
            framing = b"content-length: %d\r\n" % response.length
        elif request.version == "1.1":
            framing, chunked = b"transfer-encoding: chunked\r\n", True
        else:
            request.keep_alive = False  # the end of the connection is the end of the body
        sent = 0
        async with aclosing(body):
            self._write(self._head(request, response, framing))
            async for chunk in body:
                self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
                sent += len(chunk)
                if self._drained is not None:
                    await self._drained
        if chunked:
            self._write(b"0\r\n\r\n")
        return sent

    def _head(self, request: Request, response: Response, framing: bytes) -> bytes:
        return head(response, request_id=request.id, framing=framing, close=self._closes_after(request))

    # The work.

    def _take(self, request: Request) -> None:
        """A request's head is here: have it handled, after those before it."""
        self._queue.append(request)
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Have everything that waits handled, in order."""
        while self._queue:
            request = self._queue.popleft()
            if self._paused and not self._queue:
                self._hear_on()
            await self._handle(request)
            self._let_go(request.size_bytes)
            if self._closes_after(request):
                self._hang_up(linger=not request.whole)
                return
        self._task = None
        if self._refused is not None:
            self._answer_refusal(self._refused)

    async def _handle(self, request: Request) -> None:
        try:
            await self._handler.handle(request)
        except HallError as error:
            log.warning("answer.cut request=%s reason=%s", request.id, error)
            # What was written still arrives; that it is not all shows by its framing, if it has one.
            if request.version == "1.1":
                self._close()
            else:
                self.abort()
        except Exception:  # a bug in one request's handling must not take the connection's task silently
            log.exception("request.broken request=%s", request.id)
            if self._answering is request:
                self.abort()
            else:
                await self.answer(request, refusal(Broken("the gateway failed; its log says why")))

    def _closes_after(self, request: Request) -> bool:
        return self._draining or not request.keep_alive or not request.whole

    def _refuse(self, error: HallError) -> None:
        """Read no further, and tell the caller why, in its turn."""
        self._deaf = True
        if self._reader.open is not None:
            self._reader.open.end(error)  # whoever handles it answers
        elif self._task is not None:
            self._refused = error
        else:
            self._answer_refusal(error)

    def _answer_refusal(self, error: HallError) -> None:
        response = refusal(error, self._reader.target)
        assert isinstance(response.body, bytes)
        framing = b"content-length: %d\r\n" % len(response.body)
        start = head(response, request_id=self._new_id(), framing=framing, close=True)
        self._write(start + response.body)
        self._handler.refused(error.status)
        self._hang_up(linger=True)

    def _hang_up(self, *, linger: bool) -> None:
        """Close; if the caller may still be sending, only our side at first, lest it loses what we said."""
        self._deaf = True
        if not linger or self._transport.is_closing():
            self._close()
            return
        if self._paused:
            self._hear_on()
        if self._transport.can_write_eof():  # TLS cannot end one side alone; such a caller reads that it ends
            self._outbox.flush()
            self._transport.write_eof()
        self._hung_up, self._since = True, self._loop.time()

    def _write(self, data: bytes) -> None:
        self._outbox.write(self._transport, data)

    def _close(self) -> None:
        self._outbox.flush()
        self._transport.close()

    def _hear_on(self) -> None:
        self._paused = False
        self._transport.resume_reading()

    def _waits_for(self) -> str:
        if self._hung_up:
            return "end"
        if self._drained is not None:
            return "reader"
        if self._paused:
            return "answer"
        if self._reader.open is not None:
            return "body"
        if self._task is not None:
            return "answer"
        return "head" if self._reader.in_head else "request"

    def _deadline_of(self, waits: str, now: float) -> float:
        """When it has waited for too long, if it begins now."""
        limits = self._limits
        if waits == "body":
            return self._body_deadline(now)
        waiting_s = {
            "end": limits.linger_s,
            "reader": limits.write_s,
            "head": limits.head_s,
            "request": limits.idle_s,
        }
        return now + waiting_s.get(waits, math.inf)

    def _body_deadline(self, now: float) -> float:
        """A body may be silent for so long, and take so long for what has come of it."""
        request = self._reader.open
        assert request is not None
        if request is not self._arriving:
            self._arriving, self._since = request, now
        limits = self._limits
        return min(now, self._since + request.size_bytes / limits.body_bytes_s) + limits.body_s
