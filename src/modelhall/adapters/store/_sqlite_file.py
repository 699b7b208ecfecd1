"""The file of a SQLite store: opened, brought forward to the newest schema, and what its errors mean."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from modelhall.adapters.store import _sql
from modelhall.core.errors import Broken, Full, HallError, NotNow, Rejected

PASSING = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""What keeps a file from being opened without being wrong with it."""


def open_file(path: Path, busy_s: float, synchronous: str = "FULL") -> sqlite3.Connection:
    """The database at `path`, in the mode in which one can write while others read; it may be of an older schema.

    Raises Rejected when it is none or of a newer hall, and NotNow when somebody has it locked for too long.
    """
    with _opening(path):
        connection = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    with _opening(path, connection):
        _use_wal(connection, busy_s)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        _missing(connection)
    return connection


def _use_wal(connection: sqlite3.Connection, busy_s: float) -> None:
    """Waits for others who open a new file too: SQLite itself does not wait here."""
    deadline = time.monotonic() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is(error, sqlite3.SQLITE_BUSY) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Lead the schema to the newest. Looked at under the lock, since another process may be at it too."""
    with _opening(path, connection):
        connection.execute("BEGIN IMMEDIATE")
        for number, script in _missing(connection):
            for statement in _sql.split(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")


def _missing(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return list(enumerate(_sql.missing("sqlite", found), found + 1))


@contextlib.contextmanager
def _opening(path: Path, connection: sqlite3.Connection | None = None) -> Iterator[None]:
    """Close the connection when what is done to open it fails, and say why in our words."""
    try:
        yield
    except (sqlite3.Error, HallError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, HallError):
            raise
        if any(_is(error, code) for code in PASSING):
            raise cannot(error) from error
        raise Rejected(f"the store at {path} cannot be opened: {error}") from error


def cannot(error: sqlite3.Error) -> HallError:
    """A file that is locked or on a full disk may be reached later; one that makes no sense is damaged."""
    # The file that readers and the writer share beside the database is made when it is opened.
    no_room = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE
    if no_room or _is(error, sqlite3.SQLITE_FULL):
        return Full("the disk of the store is full; free some space, and the hall goes on", delay_s=5.0)
    if isinstance(error, sqlite3.OperationalError):
        return NotNow(f"the store cannot be reached: {error}", delay_s=1.0)
    return Broken(f"the store is damaged: {error}")


def _is(error: sqlite3.Error, code: int) -> bool:
    # The low byte of a code says what, the rest more exactly why. What Python itself refuses has none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == code
