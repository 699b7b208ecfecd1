"""How lent workers come to the leader: they dial in, and both sides prove that they have the key of the gang.

Each proves it by a digest over what the other has drawn, so a key is never said, and what was overheard is good for
nothing. What is said afterwards is as readable on its way as what workers tell each other.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

DRAWN_BYTES = PROOF_BYTES = 32
PROVES_WITHIN_S = 5.0
MOST_UNPROVED = 64
"""Whoever comes while so many have yet to prove themselves is sent away."""
GONE_AFTER_S = 10
"""A machine that does not answer for so long is taken to be gone."""
TORN_AFTER_S = 5
"""The rest of a message is waited for so long."""
LENT, LEADS = b"lent", b"leads"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Newcomer:
    socket: socket.socket
    drawn: bytes
    said: bytearray
    until: float


class Entrance:
    """Where lent workers dial in, at one address and a port that is free."""

    def __init__(self, address: str, key: bytes, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises OSError for an address that is not this machine's."""
        self._listening = socket.create_server((address, 0), family=_family(address), backlog=MOST_UNPROVED)
        self._listening.setblocking(False)
        self.address = f"{address}:{self._listening.getsockname()[1]}"
        self._key = key
        self._monotonic = monotonic
        self._newcomers: list[_Newcomer] = []

    @property
    def sockets(self) -> list[socket.socket]:
        """Those on which somebody may come, or prove himself."""
        return [self._listening, *(one.socket for one in self._newcomers)]

    def come_in(self) -> list[Connection]:
        """Those who have proved themselves since this was asked last. Nobody is waited for."""
        with contextlib.suppress(OSError):
            while True:
                self._greet(self._listening.accept()[0])
        proved, waiting = [], []
        for one in self._newcomers:
            try:
                found = self._look_at(one)
            except OSError:
                one.socket.close()
                continue
            if found is None:
                waiting.append(one)
            else:
                proved.append(found)
        self._newcomers = waiting
        return proved

    def close(self) -> None:
        for one in self.sockets:
            one.close()

    def _greet(self, newcomer: socket.socket) -> None:
        newcomer.setblocking(False)
        drawn = secrets.token_bytes(DRAWN_BYTES)
        if len(self._newcomers) >= MOST_UNPROVED or newcomer.send(drawn) < len(drawn):
            newcomer.close()
            return
        until = self._monotonic() + PROVES_WITHIN_S
        self._newcomers.append(_Newcomer(socket=newcomer, drawn=drawn, said=bytearray(), until=until))

    def _look_at(self, one: _Newcomer) -> Connection | None:
        """The connection of whoever has proved himself by now. Raises OSError for whoever does not."""
        with contextlib.suppress(BlockingIOError):
            more = one.socket.recv(PROOF_BYTES + DRAWN_BYTES - len(one.said))
            if not more:
                raise ConnectionError("it has gone")
            one.said.extend(more)
        if len(one.said) < PROOF_BYTES + DRAWN_BYTES:
            if self._monotonic() > one.until:
                raise ConnectionError("it takes too long to prove itself")
            return None
        proof, theirs = bytes(one.said[:PROOF_BYTES]), bytes(one.said[PROOF_BYTES:])
        if not hmac.compare_digest(proof, _proof(self._key, LENT, one.drawn, theirs)):
            raise ConnectionError("it does not have the key")
        one.socket.send(_proof(self._key, LEADS, theirs, one.drawn))
        # Whatever is read from here on is there, or its other half is on its way; nobody may hold up the leader.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            one.socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TORN_AFTER_S, 0))
        return _connection(one.socket)


def dial(address: str, key: bytes) -> Connection:
    """A connection to the leader that listens at `address` (host:port). Raises OSError when nobody does, or somebody
    who does not have the key."""
    host, _, port = address.rpartition(":")
    line = socket.create_connection((host, int(port)), timeout=PROVES_WITHIN_S)
    try:
        drawn, mine = _read(line, DRAWN_BYTES), secrets.token_bytes(DRAWN_BYTES)
        line.sendall(_proof(key, LENT, drawn, mine) + mine)
        if not hmac.compare_digest(_read(line, PROOF_BYTES), _proof(key, LEADS, mine, drawn)):
            raise ConnectionError("whoever listens there does not have the key of this gang")
    except BaseException:
        line.close()
        raise
    return _connection(line)


def hang_up(link: Connection) -> None:
    """Have nothing be said any more on a connection, also by processes that were forked meanwhile and have a copy."""
    with contextlib.suppress(OSError):
        shut(link.fileno())


def shut(descriptor: int) -> None:
    """End what is connected by a descriptor, which stays open. Raises OSError where nothing is."""
    with socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)


def _connection(line: socket.socket) -> Connection:
    line.setblocking(True)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Linux's; elsewhere a machine that is gone is noticed later.
    for name, value in (("TCP_KEEPIDLE", GONE_AFTER_S // 2), ("TCP_USER_TIMEOUT", GONE_AFTER_S * 1000)):
        if hasattr(socket, name):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(line.detach())


def _read(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = line.recv(size - len(found))
        if not more:
            raise ConnectionError("whoever listens there has hung up")
        found += more
    return found


def _proof(key: bytes, role: bytes, theirs: bytes, mine: bytes) -> bytes:
    return hmac.digest(key, role + theirs + mine, "sha256")


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
