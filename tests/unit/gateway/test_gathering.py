"""A reply that comes in many small pieces is passed on in fewer, and nobody waits who would notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelhall.gateway.reply import Reply
from modelhall.gateway.upstream import GATHER_S, Connection, Patience

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class VirtualLoop:
    """A clock that is set, and what is to be called when it comes there."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._calls: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Any:
        return self.call_at(self.now + delay_s, call)

    def call_at(self, when: float, call: Callable[[], object]) -> Any:
        self._calls.append((when, call))
        return Timer(when)

    def advance(self, delay_s: float) -> None:
        self.now += delay_s
        due = [entry for entry in self._calls if entry[0] <= self.now]
        self._calls = [entry for entry in self._calls if entry[0] > self.now]
        for _, call in due:
            call()


class Timer:
    def __init__(self, when: float) -> None:
        self._when = when

    def when(self) -> float:
        return self._when

    def cancel(self) -> None: ...


class Transport:
    """The socket to a replica: what it has sent is held back while nobody reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._held = b""
        self._reads = True

    def arrive(self, data: bytes) -> None:
        self._held += data
        self._deliver()

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._deliver()

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return False

    def _deliver(self) -> None:
        if self._reads and self._held:
            data, self._held = self._held, b""
            self._connection.data_received(data)


class Exchange:
    """A request that was sent, and what its caller reads of the reply, with the time of each piece."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        connection = Connection("r0", [])
        connection._loop = self.loop  # type: ignore[assignment]
        self._replica = Transport(connection)
        connection.connection_made(self._replica)  # type: ignore[arg-type]
        self._reply: Reply = connection.send(b"", b"", Patience(9.0, 9.0), lambda: None)
        self.read: list[tuple[float, bytes]] = []

    async def tells(self, data: bytes, after_s: float) -> None:
        """The replica sends something; the caller reads whatever has come to him."""
        self.loop.advance(after_s)
        self._replica.arrive(data)
        await self.reads()

    async def reads(self) -> None:
        while self._reply._chunks:
            self.read.append((self.loop.now, await self._reply.__anext__()))


def event(number: int) -> bytes:
    return b"5\r\nnr %02d\r\n" % number


async def test_quick_pieces_are_gathered_and_none_is_lost():
    exchange = Exchange()
    await exchange.tells(HEAD, 0.010)
    for number in range(40):
        await exchange.tells(event(number), 0.001)
    await exchange.tells(END, 0.001)
    exchange.loop.advance(GATHER_S)
    await exchange.reads()
    assert b"".join(piece for _, piece in exchange.read) == b"".join(b"nr %02d" % n for n in range(40))
    assert len(exchange.read) <= 2 + 40 / (GATHER_S / 0.001)


async def test_the_first_pieces_and_slow_ones_are_passed_on_as_they_come():
    exchange = Exchange()
    await exchange.tells(HEAD + event(0), 0.001)
    for number in range(1, 10):
        await exchange.tells(event(number), GATHER_S * 1.5)
    assert [piece for _, piece in exchange.read] == [b"nr %02d" % number for number in range(10)]
    begun = exchange.read[0][0]
    assert [at - begun for at, _ in exchange.read] == pytest.approx([GATHER_S * 1.5 * n for n in range(10)])
