"""The rows of a query of an SQLite file: sqlite:///folder/file.db with `format: {query: select …}`."""

from __future__ import annotations

import sqlite3
from urllib.parse import quote

from modelhall.adapters.source import _asked, _database_file
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access, Found

_RETRY_S = 5.0
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


def find(url: str, access: Access) -> list[Found]:
    """The rows as one file. Raises Rejected for a query that is wrong or does more than read."""
    file = _database_file.named_by(url)
    query = _asked.query_of(access, url)
    try:
        connection = sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)
        try:
            connection.set_authorizer(_reads_only)
            cursor = connection.execute(query)
            columns = [column[0] for column in cursor.description or ()]
            return _asked.written(f"sqlite://{file}", query, columns, cursor, access)
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise NotNow(f"{file} is locked by a writer", delay_s=_RETRY_S) from None
        raise Rejected(f"{file}: {error}", field="format.query") from None
    except sqlite3.DatabaseError as error:
        raise Rejected(f"{file}: {error}", field="source") from None


def fingerprint(url: str, access: Access) -> str:
    """The digest of sizes and times of change; no content is read."""
    return _database_file.fingerprint(_database_file.named_by(url), "-wal")


def _reads_only(action: int, *_: object) -> int:
    """Let a query read and nothing else: no other file attached, nothing written."""
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
