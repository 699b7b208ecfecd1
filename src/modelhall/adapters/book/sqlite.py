"""A book in one SQLite file: the default, and durable.

WAL with `synchronous=FULL`: what `append` has entered is on the disk when it returns. One thread owns the one
connection, so that transactions never meet. The triggers in `sqlite.sql` keep the book append-only.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, TypeVar

from modelhall.adapters._sqlite_copy import copy
from modelhall.core.errors import Broken, Full, NotNow, Rejected
from modelhall.core.kinds import Key
from modelhall.core.ports.book import By, Entry, Total, Usage

SCHEMA = 6
BUSY_S = 5.0
CACHE_KIB = 32 * 1024
"""Request ids fall all over the index; a cache that holds most of it makes entering them several times faster."""

T = TypeVar("T")

_DIMENSIONS: Mapping[By, str] = {
    "project": "project",
    "service": "service",
    "model": "model",
    "run": "run",
    "user": "user",
    "node": "CASE WHEN credit LIKE 'node/%' THEN credit END",
    "use": "substr(debit, 1, instr(debit, '/') - 1)",
}
_ENTRY = ", ".join(field.name for field in fields(Entry))
_USAGE = ", ".join(field.name for field in fields(Usage))


def open_book(folder: Path) -> SqliteBook:
    """The book kept in `folder`; made when there is none."""
    return SqliteBook(folder / "book.db")


class SqliteBook:
    """The book port over the SQLite file at `path`; raises Rejected when it is no book or of a newer hall."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")

    async def append(
        self,
        *,
        usage: Sequence[Usage] = (),
        entries: Sequence[Entry] = (),
        marks: Mapping[str, float] | None = None,
    ) -> None:
        await self._do(lambda: _append(self._connection, usage, entries, marks or {}))

    async def marks(self, names: Collection[str]) -> dict[str, float]:
        rows = await self._read(
            "SELECT name, value FROM mark WHERE name IN (SELECT value FROM json_each(?))",
            json.dumps(list(names)),
        )
        return dict(rows)

    async def unsettled(
        self, *, replica: Key | None = None, after: float = 0.0, until: float, limit: int
    ) -> list[Usage]:
        of_replica, values = ("project = ? AND replica = ? AND", replica[1:]) if replica else ("", ())
        rows = await self._read(
            f"SELECT {_USAGE} FROM usage WHERE request IN (SELECT request FROM unsettled "
            f"WHERE {of_replica} ended_at > ? AND ended_at <= ? ORDER BY ended_at, request LIMIT ?) "
            "ORDER BY at + duration_s, request",
            *values,
            after,
            until,
            limit,
        )
        return [_usage(row) for row in rows]

    async def usage(self, request: str) -> Usage | None:
        rows = await self._read(f"SELECT {_USAGE} FROM usage WHERE request = ?", request)
        return _usage(rows[0]) if rows else None

    async def entries(self, debit: str) -> list[Entry]:
        rows = await self._read(f"SELECT {_ENTRY} FROM entry WHERE debit = ? ORDER BY at, id", debit)
        return [_entry(row) for row in rows]

    async def totals(
        self,
        by: By,
        *,
        only: Mapping[By, Collection[str]] | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> list[Total]:
        chosen: list[tuple[str, str | float]] = [
            (f"AND {_DIMENSIONS[dimension]} IN (SELECT value FROM json_each(?)) ", json.dumps(list(names)))
            for dimension, names in (only or {}).items()
        ]
        edges = (("AND at >= ? ", since), ("AND at < ? ", until))
        chosen += [(condition, at) for condition, at in edges if at is not None]
        where = "".join(condition for condition, _ in chosen)
        rows = await self._read(
            f"SELECT {_DIMENSIONS[by]} AS dimension, total(debit LIKE 'request/%'), total(cpu_s), total(gpu_s), "
            "total(energy_j), total(co2_g), sum(cost_nano), min(CASE WHEN energy_j > 0 THEN measured END), "
            "json_group_array(DISTINCT energy_source) "
            f"FROM entry WHERE dimension IS NOT NULL {where} GROUP BY dimension ORDER BY dimension",
            *(value for _, value in chosen),
        )
        return [_total(row) for row in rows]

    async def copy_to(self, path: Path) -> None:
        """Write the whole book, as it is at one instant, to a new file; others may go on writing meanwhile."""
        await self._do(lambda: copy(self._connection, path))

    async def problems(self) -> list[str]:
        """What is wrong with the file, in SQLite's words; empty when nothing is."""
        try:
            rows = await self._read("PRAGMA integrity_check")
        except Broken as error:
            return [error.message]
        return [word for (word,) in rows if word != "ok"]

    async def close(self) -> None:
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _read(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._do(lambda: self._connection.execute(sql, values).fetchall())

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise Full("the disk of the book is full; free some space", delay_s=5.0) from error
            raise NotNow(f"the book cannot be reached: {error}", delay_s=1.0) from error
        except sqlite3.DatabaseError as error:
            raise Broken(f"the book cannot be read or written: {error}; restore it from a backup") from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        _migrate(connection)
    except sqlite3.Error as error:
        raise Rejected(f"the book at {path} cannot be opened: {error}") from error
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA:
        connection.close()
        raise Rejected(f"the book has schema {found}, and this hall knows up to {SCHEMA}; use the newer hall")
    if found < SCHEMA:
        names = [f"sqlite-{schema}.sql" for schema in range(found, SCHEMA)] if found else ["sqlite.sql"]
        script = "".join(Path(__file__).with_name(name).read_text() for name in names)
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={SCHEMA}; COMMIT;")


def _append(
    connection: sqlite3.Connection,
    usage: Iterable[Usage],
    entries: Iterable[Entry],
    marks: Mapping[str, float],
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany(_insert("usage", Usage), map(astuple, usage))
        connection.executemany(_insert("entry", Entry), map(astuple, entries))
        connection.executemany("INSERT OR REPLACE INTO mark VALUES (?, ?)", marks.items())
        connection.execute("COMMIT")
    except BaseException:  # whatever ends it, no transaction is left open
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _insert(table: str, row: type) -> str:
    names = [field.name for field in fields(row)]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _usage(row: tuple[Any, ...]) -> Usage:
    values = dict(zip((field.name for field in fields(Usage)), row, strict=True))
    return Usage(**{**values, "from_cache": bool(values["from_cache"])})


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip((field.name for field in fields(Entry)), row, strict=True))
    return Entry(**{**values, "measured": bool(values["measured"])})


def _total(row: tuple[Any, ...]) -> Total:
    name, requests, cpu_s, gpu_s, energy_j, co2_g, cost_nano, measured, sources = row
    return Total(
        name=name,
        requests=int(requests),
        cpu_s=cpu_s,
        gpu_s=gpu_s,
        energy_j=energy_j,
        co2_g=co2_g,
        cost_nano=cost_nano,
        measured=bool(measured),
        energy_sources=tuple(sorted(source for source in json.loads(sources) if source)),
    )
