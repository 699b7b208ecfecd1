"""A history in one SQLite file.

Frames are packed, a row for each subject and instant: a node's day at ten seconds takes about a megabyte. A minute is
folded in the transaction of the first frame after it, from what is in the file: a process that is killed leaves
nothing undone. WAL with `synchronous=NORMAL`: what was appended outlives the process; a power cut may take the last
seconds, and leaves the file whole.

The file is bounded by size and not by age, so a clock that jumps costs no history. When it is full, the oldest tenth
goes of whichever level has more than its share.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from modelhall.adapters.history._frames import Frames
from modelhall.core.errors import Broken, Full, NotNow, Rejected
from modelhall.core.ports.history import Frame, Span

SCHEMA = 1
SIZE_BYTES = 64 * 2**20
BUSY_S = 5.0

T = TypeVar("T")


def open_history(folder: Path, *, size_bytes: int = SIZE_BYTES) -> SqliteHistory:
    """The history kept in `folder`, which takes about `size_bytes` at most; made when there is none."""
    return SqliteHistory(folder / "history.db", size_bytes=size_bytes)


class SqliteHistory:
    """The history port over the SQLite file at `path`. Raises Rejected when it cannot be opened."""

    def __init__(self, path: Path, *, size_bytes: int) -> None:
        self._connection = _open(path)
        self._frames = Frames(self._connection, size_bytes)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    async def append(self, frames: Sequence[Frame]) -> None:
        if frames:
            await self._do(lambda: self._frames.append(frames))

    async def read(self, subject: str, name: str, *, since: float, until: float, step_s: float) -> list[Span]:
        return await self._do(lambda: self._frames.read(subject, name, since, until, step_s))

    async def names(self, subject: str) -> list[str]:
        return await self._do(lambda: self._frames.names(subject))

    async def subjects(self) -> list[str]:
        return await self._do(self._frames.subjects)

    async def close(self) -> None:
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise Full("the disk of the history is full; free some space", delay_s=60.0) from error
            raise NotNow(f"the history cannot be reached: {error}", delay_s=5.0) from error
        except sqlite3.DatabaseError as error:
            raise Broken(f"the history cannot be read or written: {error}; remove history.db") from error


def _open(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > SCHEMA:
            raise Rejected(f"the history has schema {found}, and this hall knows up to {SCHEMA}")
        if found < SCHEMA:
            script = Path(__file__).with_name("sqlite.sql").read_text()
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version={SCHEMA}; COMMIT;")
    except sqlite3.Error as error:
        raise Rejected(f"the history at {path} cannot be opened: {error}; remove it to begin anew") from error
    return connection
