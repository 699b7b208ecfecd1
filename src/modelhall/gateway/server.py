"""The listening socket: accepts callers, watches their times, and ends without dropping anybody."""

from __future__ import annotations

import asyncio
import resource
import signal
import ssl
from collections.abc import Callable

from modelhall.core.entrance import Entrance, bind, enter
from modelhall.gateway.caller import CallerConnection
from modelhall.gateway.limits import Limits, Room
from modelhall.gateway.messages import Handler


class Server:
    """Hands every request that arrives at an address to a handler."""

    def __init__(self, handler: Handler, new_id: Callable[[], str], limits: Limits | None = None) -> None:
        self._handler = handler
        self._new_id = new_id
        self._limits = limits or Limits()
        self._callers: set[CallerConnection] = set()
        self._room = Room(self._limits.held_bytes)
        self._entrance: Entrance | None = None
        self._ticker: asyncio.TimerHandle | None = None

    async def listen(
        self,
        host: str,
        port: int,
        *,
        lets_in: Callable[[str], bool] = lambda address: True,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[str, int]:
        """Start accepting those that are let in; return the address, of which the port was chosen here if it was 0.

        Raises Rejected when the address cannot be had.
        """
        _raise_open_files()
        listening = bind(host, port)
        name: tuple[str, int] = listening.getsockname()
        self._entrance = await enter(listening, self._accept, lets_in=lets_in, tls=tls)
        return name[0], name[1]

    async def close(self, grace_s: float) -> None:
        """Accept nobody more, let what has been asked be answered within `grace_s`, then close."""
        if self._entrance is not None:
            self._entrance.close()
        for caller in list(self._callers):
            caller.drain()
        deadline = asyncio.get_running_loop().time() + grace_s
        while self._callers and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for caller in list(self._callers):
            caller.abort()
        if self._ticker is not None:
            self._ticker.cancel()

    def _accept(self) -> CallerConnection:
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(self._limits.check_s, self._tick)
        return CallerConnection(self._handler, self._limits, self._new_id, self._callers, self._room)

    def _tick(self) -> None:
        """Look at every caller's time; goes on only while there are callers, so that idle costs nothing."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for caller in list(self._callers):
            caller.check(now)
        self._ticker = loop.call_later(self._limits.check_s, self._tick) if self._callers else None


async def until_told_to_stop() -> None:
    """Return when the process is asked to end, by SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _raise_open_files() -> None:
    """Allow as many sockets as the machine lets us have: each request in flight holds two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
