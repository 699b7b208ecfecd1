"""A PostgreSQL server: where it is, how it is talked to, and what its errors mean.

No error has the password in it. Nothing that is asked of the server takes longer than twice `busy_s`: within that
it answers, says that it is too busy, or is hung up on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from modelhall.adapters.store import _sql
from modelhall.core.errors import Broken, Full, HallError, NotNow, Rejected

SQL = _sql.statements("postgres")
RETRY_S = 1.0
DISK_FULL = "53100"
FOR_A_WHILE = {"25006", "25P03"}
"""Said by a server that has become another one's standby, and to a writer who stopped in the middle for too long.
The client library does not count them among those that pass."""
LOCK_MS = 500
LOCKED = "55P03"
CONNECT_AT_LEAST_S = 2
"""The shortest time that a connection is given by the client library."""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Locked(NotNow):
    """Another writer is in the middle of a transaction. Nothing was done."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server is and how it is to be talked to."""

    parameters: Mapping[str, Any] = field(repr=False)
    """As the client library calls them; one of them may be the password."""
    busy_s: float

    @classmethod
    def at(cls, url: str, busy_s: float) -> Server:
        """Raises Rejected, without quoting it, when `url` is not clearly one."""
        try:
            found = conninfo_to_dict(url)
        except psycopg.Error:
            found = {}
        if not _is_clear(found):
            # The error is left out on purpose: it quotes the URL.
            raise Rejected(
                "the URL of the store is not as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; "
                "a '@', '/', ':' or '%' within one of these words is written as %40, %2F, %3A or %25",
                field="store",
            ) from None
        always = {
            "application_name": "modelhall",
            "connect_timeout": max(CONNECT_AT_LEAST_S, math.ceil(busy_s)),
            # A server whose machine is gone says nothing, for hours, unless it is asked.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
        return cls(parameters={**always, **found}, busy_s=busy_s)

    async def connect(self, *, writable: bool) -> Connection:
        """A connection on which each statement is a transaction unless it is told otherwise."""
        options = [f"-c{name}={value}" for name, value in self._settings(writable).items()]
        # Said with the connection itself: what the database has as its own settings holds for no statement of ours.
        mine = {"options": " ".join([str(self.parameters.get("options", "")), *options])}
        with self.erring():
            return await psycopg.AsyncConnection.connect(**{**self.parameters, **mine}, autocommit=True)

    def _settings(self, writable: bool) -> dict[str, str]:
        busy_ms = str(math.ceil(self.busy_s * 1000))
        return {
            "synchronous_commit": "on",
            "default_transaction_read_only": "off" if writable else "on",
            "statement_timeout": busy_ms,
            # Shorter, so that a writer who sleeps on the lock is found out while there is time to end him.
            "lock_timeout": str(min(LOCK_MS, int(busy_ms))),
            # A writer that is stopped in the middle holds up all others no longer than this.
            "idle_in_transaction_session_timeout": str(min(2000, int(busy_ms))),
            # A plan made while a table was small must not become the plan for a large one.
            "enable_seqscan": "off",
        }

    @contextlib.contextmanager
    def in_time(self, connection: Connection, limit_s: float | None = None) -> Iterator[None]:
        """Hang up when what is done within takes too long: whoever waits then hears that the server is gone."""
        limit_s = 2 * self.busy_s if limit_s is None else limit_s
        timer = asyncio.get_running_loop().call_later(limit_s, _hang_up, connection)
        try:
            yield
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def erring(self) -> Iterator[None]:
        """Raise what goes wrong within as an error of ours."""
        try:
            yield
        except psycopg.Error as error:
            raise self._cannot(error) from error
        except UnicodeEncodeError as error:
            raise Rejected(f"{error.object!r} is no text: it has half a character") from error

    def _cannot(self, error: psycopg.Error) -> HallError:
        """Who must act: a server that is gone or busy may be reached later; one that makes no sense is damaged."""
        said = " ".join(str(error).split())
        if password := self.parameters.get("password"):
            said = said.replace(str(password), "***")
        if error.sqlstate == DISK_FULL:
            return Full("the disk of the store is full; free some space, and the hall goes on", delay_s=5.0)
        if error.sqlstate == LOCKED:
            return Locked("the store is held up by another writer", delay_s=RETRY_S)
        if isinstance(error, psycopg.OperationalError) or error.sqlstate in FOR_A_WHILE:
            return NotNow(f"the store cannot be reached: {said}", delay_s=RETRY_S)
        if isinstance(error, psycopg.DataError):
            return Rejected(f"the store cannot hold or look for this: {said}")
        return Broken(f"the store is damaged, or not ours: {said}")


def _is_clear(found: Mapping[str, Any]) -> bool:
    """Whether no part of a password can have been taken for something else, and be shown as that."""
    ports = str(found.get("port", "")).split(",")
    words = [str(found.get(name, "")) for name in ("host", "hostaddr", "dbname", "user")]
    return (
        bool(found)
        and all(port.isdigit() for port in ports if port)
        and not any("@" in word for word in words)
    )


def _hang_up(connection: Connection) -> None:
    """Make it as if the server had. A task that waits on the socket could not be stopped otherwise without
    asking the server to stop, and the server may be what does not answer."""
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as twin,
    ):
        twin.shutdown(socket.SHUT_RDWR)
