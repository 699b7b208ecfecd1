"""A store in one SQLite file: the default, and durable.

WAL with `synchronous=FULL`: what `commit` returned is on the disk. One thread owns the writing connection and
takes everything that waits into one transaction, so that concurrent writers share one fsync; the judge lets each
commit in it stand or fall alone. Reads have a connection and a thread of their own; those of a single row are done
where they are asked for, since a turn to another thread costs ten times as much. A URL is sqlite:///ABSOLUTE/PATH.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from modelhall.adapters.store import _sql
from modelhall.adapters.store._judge import (
    Effects,
    Facts,
    Judge,
    Row,
    Stored,
    Wanted,
    check_history,
    encoded,
    wanted,
)
from modelhall.adapters.store._sqlite_file import cannot, migrate, open_file
from modelhall.core.errors import Broken, HallError, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.kinds import AnyResource, Key, resource_from_json
from modelhall.core.ports.store import Answer, Change, Event, Lease, Unread, Write

EVENTS_KEPT = 50_000
ANSWERS_KEPT = 50_000
REMOVALS_KEPT = 10_000
BUSY_S = 5.0
FILE_POLL_S = 0.5
"""How often a store that writes looks whether another process has written too."""
READER_POLL_S = 0.05
"""The same for one that only reads, and so hears of nothing else."""
SQL = _sql.statements("sqlite")

log = logging.getLogger(__name__)

T = TypeVar("T")


def open_store(url: str, *, writable: bool = True) -> SqliteStore:
    """The store in the file at `url`, such as sqlite:///var/hall/hall.db."""
    path = Path(url.removeprefix("sqlite://"))
    if not path.is_absolute():
        raise Rejected(f"{url!r} is not sqlite:///ABSOLUTE/PATH", field="store")
    return SqliteStore(path, writable=writable)


class _Commit(NamedTuple):
    writes: Sequence[Write]
    done: asyncio.Future[list[AnyResource]]


class SqliteStore:
    """The store port over the SQLite file at `path`."""

    def __init__(
        self,
        path: Path,
        *,
        writable: bool = True,
        busy_s: float = BUSY_S,
        synchronous: str = "FULL",
        removals_kept: int = REMOVALS_KEPT,
    ) -> None:
        """Open the file, making it if need be. Raises Rejected when it is no database or of a newer hall, and
        NotNow when another process has it locked for longer than `busy_s`."""
        self._path = path
        self._busy_s = busy_s
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-read")
        self._waiting: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._poll_s = FILE_POLL_S if writable else READER_POLL_S
        self._news = asyncio.Event()
        self._is_closed = False
        if writable:
            connection = open_file(path, busy_s, synchronous)
            migrate(connection, path)
        self._reading = open_file(path, busy_s, synchronous)
        self._at_once = open_file(path, busy_s, synchronous)
        self._at_once.execute("PRAGMA busy_timeout=0")
        if writable:
            writing = _Writing(connection, removals_kept)
            self._writer = threading.Thread(
                target=self._write_loop, args=(writing,), name="store-write", daemon=True
            )
            self._writer.start()

    async def get(self, key: Key) -> AnyResource | None:
        rows = await self._point(SQL["get"], key._asdict())
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
        sql, values = _sql.find(
            SQL, kind, project, labels=labels, owner=owner, resting=resting, after=after, limit=limit
        )
        rows = await self._read(sql, values)
        return [resource_from_json(kind, body) for (body,) in rows]

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
        rows = await self._read(sql, values)
        return [resource_from_json(kind, body) for (body,) in rows]

    async def alive(
        self, kind: str, *, after: Key | None = None, limit: int | None = None
    ) -> Sequence[AnyResource | Unread]:
        rows = await self._read(*_sql.alive(SQL, kind, after=after, limit=limit))
        return [_sql.alive_of(row) for row in rows]

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self._writer is None:
            raise Broken("this store is closed, or was opened for reading")
        done: asyncio.Future[list[AnyResource]] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Commit(writes, done))
        return await done

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        if after == await self.revision():
            return []
        newest, compacted, rows = await self._on_reader(lambda: _changes(self._reading, after, limit))
        check_history(after, newest, compacted)
        return [_sql.change_of(row) for row in rows]

    async def revision(self) -> int:
        return int((await self._point(SQL["counter"], {"name": "revision"}))[0][0])

    async def wait(self, after: int, timeout_s: float) -> bool:
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
                async with asyncio.timeout(min(left_s, self._poll_s)):
                    await news.wait()

    async def events(
        self, key: Key | None = None, limit: int = 100, *, project: str | None = None
    ) -> list[Event]:
        return _sql.events_of(await self._read(*_sql.events(SQL, key, project, limit)))

    async def counts(self) -> dict[tuple[str, str], int]:
        return {(kind, state): count for kind, state, count in await self._read(SQL["counts"], {})}

    async def answer(self, once: str) -> Answer | None:
        rows = await self._point(SQL["answer"], {"once": once})
        return Answer(**dict(zip(("at", "once", "request", "body"), rows[0], strict=True))) if rows else None

    async def lease(self) -> Lease | None:
        rows = await self._point(SQL["lease"], {})
        return Lease(*rows[0]) if rows else None

    async def skip_to(self, revision: int) -> None:
        if self._writer is None:
            raise Broken("this store is closed, or was opened for reading")
        await asyncio.to_thread(_skip_to, self._path, self._busy_s, revision)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._waiting.put(None)
            await asyncio.to_thread(writer.join)
        if not self._is_closed:
            self._is_closed = True
            self._at_once.close()
            await asyncio.get_running_loop().run_in_executor(self._reader, self._reading.close)
            self._reader.shutdown()

    async def _point(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Read a row, here and now; where that would take a wait, as other reads."""
        if not self._is_closed:
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                return self._at_once.execute(sql, values).fetchall()
        return await self._read(sql, values)

    async def _read(self, sql: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return await self._on_reader(lambda: self._reading.execute(sql, values).fetchall())

    async def _on_reader(self, call: Callable[[], T]) -> T:
        if self._is_closed:
            raise Broken("this store is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, call)
        except sqlite3.Error as error:
            raise cannot(error) from error
        except UnicodeEncodeError as error:
            raise Rejected(f"{error.object!r} is no text: it has half a character") from error

    def _write_loop(self, writing: _Writing) -> None:
        """Take all that waits, write it in one transaction, answer; until None comes."""
        stopping = False
        while not stopping:
            group: list[_Commit | None] = [self._waiting.get()]
            while not self._waiting.empty():
                group.append(self._waiting.get())
            stopping = None in group
            # Who has given up waiting by now is passed over; who does so later is too late.
            commits = [commit for commit in group if commit is not None and not commit.done.cancelled()]
            self._answer(commits, writing.write([commit.writes for commit in commits]))
        writing.close()

    def _answer(self, commits: Sequence[_Commit], answers: Sequence[list[AnyResource] | HallError]) -> None:
        """Wake those who wait, with one call for all of an event loop: it costs more than the rest."""
        by_loop = defaultdict(list)
        for commit, answer in zip(commits, answers, strict=True):
            by_loop[commit.done.get_loop()].append((commit.done, answer))
        for loop, answered in by_loop.items():
            # A loop that was closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell, answered)

    def _tell(
        self, answered: list[tuple[asyncio.Future[list[AnyResource]], list[AnyResource] | HallError]]
    ) -> None:
        for done, answer in answered:
            if done.done():
                continue
            if isinstance(answer, HallError):
                done.set_exception(answer)
            else:
                done.set_result(answer)
        self._news.set()
        self._news = asyncio.Event()


class _Writing:
    """The writing connection, used by one thread."""

    def __init__(self, connection: sqlite3.Connection, removals_kept: int) -> None:
        self._connection = connection
        self._removals_kept = removals_kept

    def write(self, commits: Sequence[Sequence[Write]]) -> Sequence[list[AnyResource] | HallError]:
        """Do those of `commits` that may be done, in one transaction; an answer for each."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            facts = self._facts(wanted(commits))
            judge = Judge(facts, encoded)
            answers = [judge.judge(writes) for writes in commits]
            self._store(judge.effects, judge.revision)
            reach("store.written")
            self._connection.execute("COMMIT")
            reach("store.committed")
        except sqlite3.Error as error:
            self._undo()
            return [cannot(error)] * len(commits)
        # Whatever it is: those who wait have to be told, and the thread has to go on for those who come.
        except Exception as error:
            log.exception("store.write_failed")
            self._undo()
            if len(commits) > 1:
                # Only whose fault it is shall suffer.
                return [answer for writes in commits for answer in self.write([writes])]
            return [Broken(f"the write failed: {error!r}")]
        return answers

    def close(self) -> None:
        self._connection.close()

    def _undo(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _facts(self, asked: Wanted) -> Facts:
        execute = self._connection.execute
        facts = Facts(revision=execute(SQL["counter"], {"name": "revision"}).fetchone()[0])
        for key in asked.keys:
            if row := execute(SQL["look"], key).fetchone():
                facts.resources[key] = Stored(row[0], bool(row[1]), row[2])
        for path in asked.owners:
            facts.owned[path] = execute(SQL["count owned"], (path,)).fetchone()[0]
        facts.answered = {
            once for once in asked.once if execute(SQL["answer"], {"once": once}).fetchone() is not None
        }
        if asked.lease and (row := execute(SQL["lease"]).fetchone()):
            facts.lease = Lease(*row)
        return facts

    def _store(self, effects: Effects[str], revision: int) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        if effects.rows:
            many(SQL["put"], map(_values, effects.rows.values()))
            execute(SQL["raise counter"], {"name": "revision", "value": revision})
        if effects.events:
            many(SQL["put event"], [(e.at, *e.key, e.name, e.message) for e in effects.events])
            execute(SQL["forget events"], {"kept": EVENTS_KEPT})
        if effects.answers:
            many(SQL["put answer"], [(a.at, a.once, a.request, a.body) for a in effects.answers])
            execute(SQL["forget answers"], {"kept": ANSWERS_KEPT})
        if effects.lease is not None:
            execute(SQL["put lease"], effects.lease)
        if any(row.body is None for row in effects.rows.values()):
            self._forget_removals()

    def _forget_removals(self) -> None:
        execute = self._connection.execute
        too_many = execute(SQL["oldest removal too many"], {"kept": self._removals_kept}).fetchone()
        if too_many is not None:
            execute(SQL["forget removals"], {"until": too_many[0]})
            execute(SQL["raise counter"], {"name": "compacted", "value": too_many[0]})


def _values(row: Row[str]) -> tuple[Any, ...]:
    return (
        *row.key, row.revision, row.owner, json.dumps(row.labels), row.deleting, row.resting, row.settled,
        _sql.paths(row.names), row.body,
    )  # fmt: skip


def _changes(
    connection: sqlite3.Connection, after: int, limit: int
) -> tuple[int, int, list[tuple[Any, ...]]]:
    """The newest revision, the one until which history is forgotten, and the changes: all of one instant."""
    with _reading(connection) as execute:
        newest, compacted = (
            execute(SQL["counter"], {"name": name}).fetchone()[0] for name in ("revision", "compacted")
        )
        rows = execute(SQL["changes"], {"after": after, "limit": limit}).fetchall() if newest > after else []
        return newest, compacted, rows


@contextlib.contextmanager
def _reading(connection: sqlite3.Connection) -> Any:
    connection.execute("BEGIN")
    try:
        yield connection.execute
    finally:
        connection.execute("COMMIT")


def _skip_to(path: Path, busy_s: float, revision: int) -> None:
    try:
        with contextlib.closing(open_file(path, busy_s)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for name in ("revision", "compacted"):
                connection.execute(SQL["raise counter"], {"name": name, "value": revision})
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise cannot(error) from error
