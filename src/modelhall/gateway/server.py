"""The listening socket: accepts callers, watches their times, and ends without dropping anybody."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
from collections.abc import Callable

from modelhall.core.errors import Rejected
from modelhall.gateway.caller import CallerConnection, Limits
from modelhall.gateway.messages import Handler

BACKLOG = 1024


class Server:
    """Hands every request that arrives at an address to a handler."""

    def __init__(self, handler: Handler, new_id: Callable[[], str], limits: Limits | None = None) -> None:
        self._handler = handler
        self._new_id = new_id
        self._limits = limits or Limits()
        self._callers: set[CallerConnection] = set()
        self._listener: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start accepting; return the address, of which the port was chosen here if it was 0.

        Raises Rejected when the address cannot be had.
        """
        _raise_open_files()
        loop = asyncio.get_running_loop()
        listening = _bind(host, port)
        self._listener = await loop.create_server(self._accept, sock=listening, backlog=BACKLOG)
        name: tuple[str, int] = listening.getsockname()
        return name[0], name[1]

    async def close(self, grace_s: float) -> None:
        """Accept nobody more, let what has been asked be answered within `grace_s`, then close."""
        if self._listener is not None:
            self._listener.close()
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
        return CallerConnection(self._handler, self._limits, self._new_id, self._callers)

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


def _bind(host: str, port: int) -> socket.socket:
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        if listening is not None:
            listening.close()
        in_use = error.errno == errno.EADDRINUSE
        reason = "is in use; choose another port" if in_use else f"cannot be had: {error.strerror or error}"
        raise Rejected(f"{host}:{port} {reason}", field="port") from None
    return listening


def _raise_open_files() -> None:
    """Allow as many sockets as the machine lets us have: each request in flight holds two."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
