"""A store in a PostgreSQL database: for halls whose control planes run on several machines.

What `commit` returned is on the server's disk, and on that of its synchronous standby if it has one. One task takes
everything that waits into one transaction, as in the SQLite store; any number of processes may write to one
database, one transaction after the other. A URL is postgresql://USER:PASSWORD@HOST:PORT/DATABASE. A pooler in
between must hand on sessions, not transactions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from modelhall.adapters.store import _sql
from modelhall.adapters.store._judge import check_history
from modelhall.adapters.store._postgres_link import Link
from modelhall.adapters.store._postgres_schema import migrate
from modelhall.adapters.store._postgres_server import RETRY_S, SQL, Locked, Server
from modelhall.adapters.store._postgres_writing import Writing, without_nul
from modelhall.core.errors import Broken, HallError, NotNow
from modelhall.core.kinds import AnyResource, Key, resource_from_json
from modelhall.core.ports.store import Answer, Change, Event, Lease, Unread, Write

REMOVALS_KEPT = 10_000
BUSY_S = 5.0
POLL_S = 2.0
"""How often is looked whether there is a change nobody told of: a notification is lost with its connection."""
GROUP = 512
"""So many commits at most share a transaction."""

log = logging.getLogger(__name__)


def open_store(url: str, *, writable: bool = True) -> PostgresStore:
    """The store in the database at `url`."""
    return PostgresStore(url, writable=writable)


class _Commit(NamedTuple):
    writes: Sequence[Write]
    done: asyncio.Future[list[AnyResource]]


class PostgresStore:
    """The store port over the PostgreSQL database at `url`, for use in one event loop."""

    def __init__(
        self, url: str, *, writable: bool = True, busy_s: float = BUSY_S, removals_kept: int = REMOVALS_KEPT
    ) -> None:
        """Bring the schema forward, if the store is to be written. Raises Rejected when `url` is none or the
        schema is of a newer hall, and NotNow when the server cannot be reached; one that is opened for reading is
        reached when it is first asked."""
        server = Server.at(url, busy_s)
        if writable:
            _now(migrate(server))
        self._writable = writable
        self._busy_s = busy_s
        self._reading = Link(server, writable=False)
        self._listening = Link(server, writable=False)
        self._writing = Link(server, writable=True)
        self._writer = Writing(removals_kept)
        self._waiting: list[_Commit] = []
        self._write_task: asyncio.Task[None] | None = None
        self._listen_task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def get(self, key: Key) -> AnyResource | None:
        rows = await self._read(SQL["get"], key._asdict())
        return resource_from_json(key.kind, rows[0][0]) if rows and rows[0][0] else None

    async def find(
        self,
        kind: str,
        project: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner: str | None = None,
        resting: bool | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> list[AnyResource]:
        labels = without_nul(labels or {})
        sql, values = _sql.find(
            SQL, kind, project, labels=labels, owner=owner, resting=resting, after=after, limit=limit
        )
        return [resource_from_json(kind, body) for (body,) in await self._read(sql, values)]

    async def latest(
        self,
        kind: str,
        project: str | None = None,
        *,
        state: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AnyResource]:
        sql, values = _sql.latest(SQL, kind, project, state=state, before=before, limit=limit)
        return [resource_from_json(kind, body) for (body,) in await self._read(sql, values)]

    async def alive(
        self, kind: str, *, after: Key | None = None, limit: int | None = None
    ) -> Sequence[AnyResource | Unread]:
        rows = await self._read(*_sql.alive(SQL, kind, after=after, limit=limit))
        return [_sql.alive_of(row) for row in rows]

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        self._check_writable()
        done: asyncio.Future[list[AnyResource]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Commit(writes, done))
        if self._write_task is None:
            self._write_task = asyncio.create_task(self._write_all())
        return await done

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        rows = await self._read(SQL["changes"], {"after": after, "limit": limit})
        newest, compacted = rows[0][:2]
        check_history(after, newest, compacted)
        # There is one row even if there is no change.
        return [_sql.change_of(row[2:]) for row in rows if row[2] is not None]

    async def revision(self) -> int:
        return int((await self._read(SQL["counter"], {"name": "revision"}))[0][0])

    async def wait(self, after: int, timeout_s: float) -> bool:
        if self._listen_task is None:
            self._listen_task = asyncio.create_task(self._listen())
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            news = self._news
            if await self.revision() > after:
                return True
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            # Not `wait_for`, which before Python 3.12 forgets a cancellation that comes together with the news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, POLL_S)):
                    await news.wait()

    async def events(
        self, key: Key | None = None, limit: int = 100, *, project: str | None = None
    ) -> list[Event]:
        return _sql.events_of(await self._read(*_sql.events(SQL, key, project, limit)))

    async def counts(self) -> dict[tuple[str, str], int]:
        return {(kind, state): count for kind, state, count in await self._read(SQL["counts"], {})}

    async def answer(self, once: str) -> Answer | None:
        rows = await self._read(SQL["answer"], {"once": once})
        return Answer(**dict(zip(("at", "once", "request", "body"), rows[0], strict=True))) if rows else None

    async def lease(self) -> Lease | None:
        rows = await self._read(SQL["lease"], {})
        return Lease(*rows[0]) if rows else None

    async def skip_to(self, revision: int) -> None:
        self._check_writable()
        async with self._writing.use() as connection:
            await self._writer.skip_to(connection, revision)
        self._wake()

    async def close(self) -> None:
        self._writable = False
        if self._write_task is not None:
            await self._write_task
        listening, self._listen_task = self._listen_task, None
        if listening is not None:
            listening.cancel()
            await asyncio.wait([listening])
        for link in (self._reading, self._listening, self._writing):
            await link.close()

    def _check_writable(self) -> None:
        if not self._writable:
            raise Broken("this store is closed, or was opened for reading")

    async def _read(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async with self._reading.use() as connection:
            return await (await connection.execute(sql, values)).fetchall()

    async def _write_all(self) -> None:
        """Take all that waits, write it in one transaction, answer; until nothing waits."""
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                # Who has given up waiting by now is passed over; who does so later is too late.
                commits = [commit for commit in group if not commit.done.done()]
                answers = await self._write([commit.writes for commit in commits])
                for commit, answer in zip(commits, answers, strict=True):
                    _tell(commit.done, answer)
                self._wake()
        finally:
            self._write_task = None

    async def _write(self, commits: Sequence[Sequence[Write]]) -> list[list[AnyResource] | HallError]:
        try:
            return await self._write_in_turn(commits)
        except NotNow as error:
            # Also when the answer to COMMIT was lost: whether it was done is not known then.
            return [error] * len(commits)
        except HallError as error:
            # There is something that the server does not take. Only whose it is shall suffer.
            if len(commits) < 2:
                return [error] * len(commits)
            return [answer for writes in commits for answer in await self._write([writes])]
        # Whatever it is: those who wait have to be told, and the task has to go on for those who come.
        except Exception as error:
            log.exception("store.write_failed")
            return [Broken(f"the write failed: {error!r}")] * len(commits)

    async def _write_in_turn(self, commits: Sequence[Sequence[Write]]) -> list[list[AnyResource] | HallError]:
        """Write when whoever writes now is done, or has been found asleep and was ended."""
        deadline = asyncio.get_running_loop().time() + self._busy_s
        while True:
            try:
                async with self._writing.use() as connection:
                    return await self._writer.write(connection, commits)
            except Locked:
                await self._end_sleepers()
                if asyncio.get_running_loop().time() > deadline:
                    raise

    async def _end_sleepers(self) -> None:
        """End the session of a writer that was stopped in the middle of a transaction, such as a leader that was
        replaced. The server does not: in a pipeline that was begun and not ended it waits for the rest for ever."""
        with contextlib.suppress(HallError):
            async with self._writing.use() as connection:
                await connection.execute(SQL["end sleepers"])

    async def _listen(self) -> None:
        """Wake those who wait at every notification, and whenever the connection is lost or there again."""
        while True:
            try:
                async with self._listening.borrow() as connection:
                    await connection.execute(SQL["listen"])
                    self._wake()
                    async for _ in connection.notifies():
                        self._wake()
            except HallError as error:
                log.warning("store.not_listening reason=%s", error)
            self._wake()
            await asyncio.sleep(RETRY_S)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _tell(done: asyncio.Future[list[AnyResource]], answer: list[AnyResource] | HallError) -> None:
    if done.done():
        return
    if isinstance(answer, HallError):
        done.set_exception(answer)
    else:
        done.set_result(answer)


def _now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Carry out a coroutine wherever this is called, be it within an event loop."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, coroutine).result()
