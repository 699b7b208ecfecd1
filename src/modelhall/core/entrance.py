"""The way in from the network: binds an address, accepts connections, and turns away who may not come.

Who it is that comes is looked at before a byte is read and before TLS begins. What is said over a connection is the
protocol's whom it is handed to. Asyncio's own server does for plain connections; with TLS it shakes hands before it
can be asked, so there the accepting is done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from modelhall.core.errors import Rejected

BACKLOG = 1024
HANDSHAKE_S = 10.0
MOST_AT_ONCE = 64
"""Accepted in one go before others have their turn."""
MOST_HANDSHAKES = 1_000
"""Connections that have been accepted and are not through their handshake; more wait to be accepted."""
NO_SOCKET_S = 0.5
LARGEST_READ = 2**16
TLS_HANDSHAKE = b"\x16"
"""The first byte of whoever speaks TLS."""
WHAT_TO_DO = b"this port speaks TLS; ask it with https://\n"
NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    % (
        len(WHAT_TO_DO),
        WHAT_TO_DO,
    )
)

log = logging.getLogger(__name__)


def bind(host: str, port: int, *, field: str = "port") -> socket.socket:
    """A socket that listens at an address, of which the port is chosen here if it is 0; raises Rejected."""
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
        raise Rejected(f"{host}:{port} {reason}", field=field) from None
    listening.setblocking(False)
    return listening


class Entrance(Protocol):
    """Accepts at a bound socket until it is closed."""

    def close(self) -> None:
        """Accept nobody more; who has been accepted stays."""
        ...


async def enter(
    listening: socket.socket,
    protocol: Callable[[], asyncio.Protocol],
    *,
    lets_in: Callable[[str], bool] = lambda address: True,
    tls: ssl.SSLContext | None = None,
) -> Entrance:
    """Begin to accept. `protocol` makes what each connection is handed to; `lets_in` is asked with the caller's
    address."""
    if tls is not None:
        return _TlsEntrance(listening, protocol, lets_in, tls)
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Turnstile(protocol, lets_in), sock=listening, backlog=BACKLOG)


class _Turnstile(asyncio.Protocol):
    """Looks at who comes, and makes way for the protocol that is meant to have him."""

    def __init__(self, protocol: Callable[[], asyncio.Protocol], lets_in: Callable[[str], bool]) -> None:
        self._protocol = protocol
        self._lets_in = lets_in

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are not asyncio's
        peer = transport.get_extra_info("peername")
        if not self._lets_in(str(peer[0]) if peer else ""):
            transport.abort()
            return
        protocol = self._protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class _TlsEntrance:
    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        lets_in: Callable[[str], bool],
        tls: ssl.SSLContext,
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._lets_in = lets_in
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._is_open = True
        self._later: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        self._is_open = False
        self._pause()
        if self._later is not None:
            self._later.cancel()
        self._listening.close()

    def _listen(self) -> None:
        self._later = None
        if self._is_open:
            self._loop.add_reader(self._listening, self._accept)

    def _pause(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(self._listening)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if len(self._arriving) >= MOST_HANDSHAKES:
                self._pause()
                return
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("entrance.no-socket reason=%s", error.strerror)
                self._pause()
                self._later = self._loop.call_later(NO_SOCKET_S, self._listen)
                return
            if not self._lets_in(str(address[0])):
                connection.close()
                continue
            connection.setblocking(False)
            arriving = self._loop.create_task(self._hand_over(connection))
            self._arriving.add(arriving)
            arriving.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._arriving.discard(task)
        if self._is_open and len(self._arriving) == MOST_HANDSHAKES - 1:
            self._listen()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("entrance.failed reason=%r", error)

    async def _hand_over(self, connection: socket.socket) -> None:
        """Give a connection to its protocol; of those that fail before, nobody need hear."""
        try:
            if await self._speaks_tls(connection):
                await self._loop.connect_accepted_socket(
                    self._protocol, connection, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_S
                )
        except (OSError, ssl.SSLError, TimeoutError):
            connection.close()

    async def _speaks_tls(self, connection: socket.socket) -> bool:
        """Whether a caller begins as TLS does; whoever speaks plain HTTP is told what would do."""
        async with asyncio.timeout(HANDSHAKE_S):
            first = await self._peek(connection)
        if first == TLS_HANDSHAKE:
            return True
        if first:
            # What is left unread when a socket is closed would make the answer be lost.
            connection.recv(LARGEST_READ)
            await self._loop.sock_sendall(connection, NOT_TLS)
        connection.close()
        return False

    async def _peek(self, connection: socket.socket) -> bytes:
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self._loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)
