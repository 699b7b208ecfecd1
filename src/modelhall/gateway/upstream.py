"""The way to one replica: a kept connection, and one exchange at a time on it.

What failed is said here; whether it is tried again, and where, is decided in `tries.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import httptools

from modelhall.gateway.health import Evidence
from modelhall.gateway.outbox import Outbox
from modelhall.gateway.pacing import QUICK_S, Pacer
from modelhall.gateway.reply import Failure, Reply
from modelhall.gateway.reply_reader import ReplyReader

READ_FIRST_S = 0.002
"""Before a replica is held to be silent, what has arrived is read: long enough for one round of the loop."""


class Patience(NamedTuple):
    """How long a replica may be silent."""

    first_s: float
    """Before the answer begins."""
    next_s: float
    """While it is on its way."""


class Connection(asyncio.Protocol):
    """One connection to a replica. It puts itself among the `idle` ones whenever it can be used again."""

    def __init__(self, replica: str, idle: list[Connection], outbox: Outbox, pacer: Pacer) -> None:
        self._replica = replica
        self._idle = idle
        self._outbox = outbox
        self._pacer = pacer
        self._loop = asyncio.get_running_loop()
        self._reading = ReplyReader()
        self._transport: Any = None
        self._reply: Reply | None = None
        self._heard = False
        """Whether anything has come of the reply."""
        self._paused = False
        """Whether nothing is read, since the reader has not taken what was."""
        self._rests = False
        """Whether nothing is read, since events come in quick succession."""
        self._told_at = -math.inf
        """When something of the body came last."""
        self._timeout_s = 0.0
        """How long it may be silent now."""
        self._next_s = 0.0
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def send(self, head: bytes, body: bytes, patience: Patience, on_end: Callable[[], None]) -> Reply:
        """Send a request. A silence of the replica longer than it may be fails the reply."""
        self._reply = reply = Reply(self, on_end)
        self._heard = False
        self._told_at = -math.inf
        self._timeout_s, self._next_s = patience
        self._watch()
        self._outbox.write(self._transport, head)
        if body:
            self._outbox.write(self._transport, body)
        return reply

    def drop(self, failure: Failure) -> None:
        reply, self._reply = self._reply, None
        self._transport.abort()
        if reply is not None:
            reply.end(failure)
            reply.wake()

    def waiter(self) -> asyncio.Future[None]:
        return self._loop.create_future()

    def go_on(self) -> None:
        if self._paused:
            self._paused = False
            self._listen()

    def listen_again(self) -> None:
        if self._rests:
            self._rests = False
            self._listen()

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
        now = self._loop.time()
        self._deadline = now + self._timeout_s
        try:
            ended = self._reading.feed(data, reply, now)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.drop(Failure(f"replica {self._replica} did not answer in HTTP/1.1", Evidence.BAD))
            return
        if ended:
            self._end(reply)
        elif reply.head is not None:
            self._is_on_its_way(reply, now)
        reply.wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if reply.head is not None and self._reading.until_close and error is None:
            reply.end()
        else:
            message = f"replica {self._replica} broke the connection"
            reply.end(Failure(message, Evidence.GONE, stale=not self._heard))
        reply.wake()

    def _end(self, reply: Reply) -> None:
        self._reply = None
        if self._reading.can_go_on:
            self._idle.append(self)
        else:
            self._transport.close()
        reply.end()

    def _is_on_its_way(self, reply: Reply, now: float) -> None:
        """The reply has begun and has not ended."""
        if self._timeout_s != self._next_s:
            self._timeout_s = self._next_s
            self._watch()
        if not reply.has_room:
            self._paused = True
            self._be_deaf()
        elif reply.in_pieces and reply.has_news:
            if now - self._told_at < QUICK_S:
                self._rests = True
                self._be_deaf()
                self._pacer.rest(self)
            self._told_at = now

    def _be_deaf(self) -> None:
        self._deadline = math.inf
        self._transport.pause_reading()

    def _listen(self) -> None:
        if not self._paused and not self._rests and not self._transport.is_closing():
            self._transport.resume_reading()
            self._watch()

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
        if self._reply is None or self._paused or self._rests:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._check)
        elif not again:
            self._timer = self._loop.call_later(READ_FIRST_S, partial(self._check, again=True))
        else:
            message = f"replica {self._replica} was silent for {self._timeout_s:g} s"
            self.drop(Failure(message, Evidence.SLOW))
