"""A store in one SQLite file: the default, and durable.

WAL with `synchronous=FULL`: what `commit` returned is on the disk. One thread owns the writing connection and
takes everything that waits into one transaction, so that concurrent writers share one fsync; within it each
commit has its own savepoint and fails alone. Reads have a connection and a thread of their own.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from modelhall.core.errors import Broken, Conflict, HallError, NotNow, Rejected
from modelhall.core.kinds import AnyResource, Key, resource_from_json
from modelhall.core.ports.store import Change, Delete, Event, Write

SCHEMA = 1
EVENTS_KEPT = 50_000
BUSY_S = 5.0

T = TypeVar("T")


class _Commit(NamedTuple):
    writes: Sequence[Write]
    done: Future[list[AnyResource]]


class SqliteStore:
    """The store port over the SQLite file at `path`."""

    def __init__(self, path: Path, *, writable: bool = True, busy_s: float = BUSY_S) -> None:
        """Open the file, making it if need be. Raises Rejected when it is no database or of a newer hall, and
        NotNow when another process has it locked for longer than `busy_s`."""
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-read")
        self._waiting: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        if writable:
            connection = _open(path, busy_s)
            _migrate(connection)
            self._writer = threading.Thread(
                target=_write_loop, args=(connection, self._waiting), name="store-write", daemon=True
            )
            self._writer.start()
        self._reading = _open(path, busy_s)

    async def get(self, key: Key) -> AnyResource | None:
        rows = await self._read("SELECT body FROM resource WHERE kind=? AND project=? AND name=?", *key)
        return resource_from_json(rows[0][0]) if rows and rows[0][0] else None

    async def all(self, kind: str, project: str | None = None) -> list[AnyResource]:
        rows = await self._read(
            "SELECT body FROM resource WHERE kind=?1 AND (?2 IS NULL OR project=?2) AND body IS NOT NULL "
            "ORDER BY project, name",
            kind,
            project,
        )
        return [resource_from_json(body) for (body,) in rows]

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self._writer is None:
            raise Broken("this store is closed, or was opened for reading")
        done: Future[list[AnyResource]] = Future()
        self._waiting.put(_Commit(writes, done))
        return await asyncio.wrap_future(done)

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        rows = await self._read(
            "SELECT revision, kind, project, name, body FROM resource WHERE revision>? ORDER BY revision LIMIT ?",
            after,
            limit,
        )
        return [
            Change(
                revision=revision,
                key=Key(kind, project, name),
                resource=resource_from_json(body) if body else None,
            )
            for revision, kind, project, name, body in rows
        ]

    async def events(self, key: Key | None = None, limit: int = 100) -> list[Event]:
        where, values = ("WHERE kind=? AND project=? AND name=?", tuple(key)) if key else ("", ())
        rows = await self._read(
            f"SELECT at, kind, project, name, event, message FROM event {where} ORDER BY id DESC LIMIT ?",
            *values,
            limit,
        )
        return [
            Event(at=at, key=Key(kind, project, name), name=event, message=message)
            for at, kind, project, name, event, message in rows
        ]

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._waiting.put(None)
            await asyncio.to_thread(writer.join)
        await self._on_reader(self._reading.close)
        self._reader.shutdown()

    async def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._on_reader(lambda: self._reading.execute(sql, values).fetchall())

    async def _on_reader(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, call)
        except sqlite3.Error as error:
            raise _cannot(error) from error


def _open(path: Path, busy_s: float) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise _cannot(error) from error
        raise Rejected(f"the store at {path} cannot be opened: {error}") from error
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA:
        raise Rejected(
            f"the store has schema {found}, and this hall knows up to {SCHEMA}; use the newer hall"
        )
    if found < SCHEMA:
        script = Path(__file__).with_name("sqlite.sql").read_text()
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={SCHEMA}; COMMIT;")
        except sqlite3.Error as error:
            raise _cannot(error) from error


def _write_loop(connection: sqlite3.Connection, waiting: queue.SimpleQueue[_Commit | None]) -> None:
    """Take all that waits, write it in one transaction, answer; until None comes."""
    stopping = False
    while not stopping:
        group: list[_Commit | None] = [waiting.get()]
        while not waiting.empty():
            group.append(waiting.get())
        stopping = None in group
        _write_group(connection, [commit for commit in group if commit is not None])
    connection.close()


def _write_group(connection: sqlite3.Connection, group: list[_Commit]) -> None:
    # Who has given up waiting by now is passed over; who does so later is too late.
    group = [commit for commit in group if commit.done.set_running_or_notify_cancel()]
    answers: list[tuple[_Commit, list[AnyResource] | Exception]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        answers = [(commit, _write_one(connection, commit.writes)) for commit in group]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        answers = [(commit, _cannot(error)) for commit in group]
    for commit, answer in answers:
        if isinstance(answer, Exception):
            commit.done.set_exception(answer)
        else:
            commit.done.set_result(answer)


def _write_one(connection: sqlite3.Connection, writes: Sequence[Write]) -> list[AnyResource] | HallError:
    """One commit inside the group's transaction; a conflict undoes this commit alone, and so does what cannot be
    written down, such as half a character."""
    connection.execute("SAVEPOINT one")
    try:
        written = [put for write in writes if (put := _write(connection, write)) is not None]
    except (Conflict, ValueError) as error:
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return error if isinstance(error, Conflict) else Broken(f"this cannot be written down: {error}")
    connection.execute("RELEASE one")
    return written


def _write(connection: sqlite3.Connection, write: Write) -> AnyResource | None:
    if isinstance(write, Event):
        cursor = connection.execute(
            "INSERT INTO event (at, kind, project, name, event, message) VALUES (?, ?, ?, ?, ?, ?)",
            (write.at, *write.key, write.name, write.message),
        )
        connection.execute("DELETE FROM event WHERE id <= ?", ((cursor.lastrowid or 0) - EVENTS_KEPT,))
        return None
    if isinstance(write, Delete):
        _expect(connection, write.key, write.revision)
        connection.execute(
            "UPDATE resource SET body=NULL, revision=? WHERE kind=? AND project=? AND name=?",
            (_next_revision(connection), *write.key),
        )
        return None
    key = write.resource.key
    _expect(connection, key, write.resource.revision)
    resource = write.resource.model_copy(update={"revision": _next_revision(connection)})
    connection.execute(
        "INSERT INTO resource (kind, project, name, revision, body) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET revision=excluded.revision, body=excluded.body",
        (*key, resource.revision, resource.model_dump_json()),
    )
    return resource


def _next_revision(connection: sqlite3.Connection) -> int:
    cursor = connection.execute("UPDATE counter SET value=value+1 WHERE name='revision' RETURNING value")
    return int(cursor.fetchone()[0])


def _expect(connection: sqlite3.Connection, key: Key, revision: int) -> None:
    row = connection.execute(
        "SELECT revision FROM resource WHERE kind=? AND project=? AND name=? AND body IS NOT NULL", key
    ).fetchone()
    found = row[0] if row else 0
    if found != revision:
        raise Conflict(f"{key} is at revision {found}, and the write expected {revision}; read it again")


def _cannot(error: sqlite3.Error) -> HallError:
    """A file that is locked or on a full disk may be reached later; one that makes no sense is damaged."""
    if isinstance(error, sqlite3.OperationalError):
        return NotNow(f"the store cannot be reached: {error}", delay_s=1.0)
    return Broken(f"the store is damaged: {error}")
