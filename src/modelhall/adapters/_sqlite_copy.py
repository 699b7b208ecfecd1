"""A SQLite file as it is at one instant, in a file of its own."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Write all of a database to a new file; others may go on writing to it meanwhile."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as target:
        connection.backup(target)
        # One file, without a log beside it.
        target.execute("PRAGMA journal_mode=DELETE")
