"""Callers that ask as fast as answers come, and what a process has used meanwhile."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
LONGEST_END = 128
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer, whose last bytes it knows."""

    def __init__(self, request: bytes, ends: tuple[bytes, ...]) -> None:
        self.answered = self.failed = 0
        self._request = request
        self._ends = ends
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self) -> None:
        self._transport.write(self._request)

    def stop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1") and not data.startswith(b"HTTP/1.1 200"):
            self.failed += 1
        # An end may come in two pieces.
        self._tail = data if len(data) >= LONGEST_END else (self._tail + data)[-LONGEST_END:]
        if self._tail.endswith(self._ends):
            self._tail = b""
            self.answered += 1
            self.ask()


async def callers(address: str, request: bytes, count: int, ends: tuple[bytes, ...]) -> list[Caller]:
    """As many callers, who have begun to ask."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    there = []
    for _ in range(count):
        _, caller = await loop.create_connection(lambda: Caller(request, ends), host, int(port))
        caller.ask()
        there.append(caller)
    return there


def cpu_s(pid: int) -> float:
    """Processor time so far of a process and all it has started, in their own code and in the kernel."""
    return sum(_own_cpu_s(one) for one in (pid, *_children(pid)))


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * PAGE_BYTES / 1e6, 1)


def _own_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _children(pid: int) -> list[int]:
    direct = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return direct + [further for child in direct for further in _children(child)]
