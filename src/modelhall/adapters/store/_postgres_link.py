"""One connection to a PostgreSQL server, opened when it is needed and again after it broke."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
from collections.abc import AsyncIterator

from psycopg.pq import TransactionStatus

from modelhall.adapters.store._postgres_schema import check_schema
from modelhall.adapters.store._postgres_server import Connection, Server
from modelhall.core.errors import Broken, HallError


class Link:
    """One connection for one user at a time."""

    def __init__(self, server: Server, *, writable: bool) -> None:
        self._server = server
        self._writable = writable
        self._connection: Connection | None = None
        self._one_at_a_time = asyncio.Lock()
        self._failure: HallError | None = None
        self._failed_at = -math.inf
        self._is_closed = False

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """The connection, for as long as a use of it may take."""
        async with self.borrow() as connection:
            with self._server.in_time(connection):
                yield connection

    @contextlib.asynccontextmanager
    async def borrow(self) -> AsyncIterator[Connection]:
        """The connection, for any time, with nothing left over from whoever had it before.

        It is closed afterwards when something went wrong, unless the server has nothing open for it.
        """
        came_at = asyncio.get_running_loop().time()
        async with self._one_at_a_time:
            connection = await self._open(came_at)
            try:
                with self._server.erring():
                    yield connection
            finally:
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    await self._drop()

    async def close(self) -> None:
        """Wait for whoever uses it, and let nobody use it again."""
        self._is_closed = True
        async with self._one_at_a_time:
            await self._drop()

    async def _open(self, came_at: float) -> Connection:
        if self._is_closed:
            raise Broken("this store is closed")
        if self._connection is not None and _is_over(self._connection):
            await self._drop()
        if self._connection is None:
            # One attempt answers all who waited for it, or the last of many would wait for ever.
            if self._failure is not None and self._failed_at >= came_at:
                raise self._failure
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> Connection:
        try:
            connection = await self._server.connect(writable=self._writable)
        except HallError as error:
            self._failure, self._failed_at = error, asyncio.get_running_loop().time()
            raise
        try:
            await check_schema(self._server, connection)
        except BaseException:  # a cancelled caller must not leave a connection either
            await connection.close()
            raise
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _is_over(connection: Connection) -> bool:
    """Whether the server has hung up, or said anything that nobody asked: its last words, as a rule."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
