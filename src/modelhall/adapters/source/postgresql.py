"""The rows of a query of PostgreSQL: postgresql://USER@HOST/DATABASE#secret=NAME with `format: {query: select …}`.

The secret is the user's password. The session can only read, and its host is checked as one of the web is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from modelhall.adapters.source import _asked, _guard, _secret
from modelhall.core import digest, source_url
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.source import Access, Found
from modelhall.core.source_url import SourceUrl

if TYPE_CHECKING:
    import psycopg

PORT = 5432
_ROWS = 10_000
_RETRY_S = 15.0
_CONNECT_S = 10
_WRITES = """
    select tup_inserted, tup_updated, tup_deleted, stats_reset::text
    from pg_stat_database where datname = current_database()
"""
"""Counters that move with every change of the database, and with none of our reading."""


def find(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> list[Found]:
    """The rows as one file, read through a cursor. Raises Rejected for a query that is wrong."""
    parsed = source_url.parse(url)
    query = _asked.query_of(access, url)
    with _connected(parsed, access, resolve) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = _ROWS
        cursor.execute(query.encode())
        columns = [column.name for column in cursor.description or ()]
        return _asked.written(parsed.name, query, columns, cursor, access)


def fingerprint(url: str, access: Access, resolve: _guard.Resolve = _guard.resolve) -> str:
    """The digest of the database's counters of writes."""
    with _connected(source_url.parse(url), access, resolve) as connection:
        return digest.of_json(connection.execute(_WRITES).fetchone())


@contextmanager
def _connected(url: SourceUrl, access: Access, resolve: _guard.Resolve) -> Iterator[psycopg.Connection[Any]]:
    """A session that only reads; what goes wrong in it, in words."""
    try:
        # Of an extra: only who reads from PostgreSQL needs it.
        import psycopg
    except ImportError:
        raise Rejected(
            "postgresql:// needs the library psycopg: pip install 'modelhall[postgres]'", field="source"
        ) from None
    port = url.port or PORT
    if not url.host or not url.user or not url.inner or "/" in url.inner or url.query:
        raise Rejected(f"{url.name} is not postgresql://USER@HOST/DATABASE", field="source")
    try:
        with psycopg.connect(
            host=url.host,
            hostaddr=_guard.checked_address(url.host, port, access.rules.reach, resolve),
            port=port,
            user=url.user,
            dbname=url.inner,
            password=_secret.of(url, access) or "",
            passfile="/dev/null",  # nor any other password than the one named
            connect_timeout=_CONNECT_S,
            options="-c default_transaction_read_only=on",
        ) as connection:
            yield connection
            connection.rollback()  # of what a session that only reads may do all the same
    except psycopg.errors.SyntaxErrorOrAccessRuleViolation as error:
        raise Rejected(f"{url.name}: {error.diag.message_primary}", field="format.query") from None
    except psycopg.OperationalError as error:
        raise _unreachable(url, error) from None
    except psycopg.Error as error:
        said = error.diag.message_primary or type(error).__name__
        raise Rejected(f"{url.name}: {said}", field="format.query") from None


def _unreachable(url: SourceUrl, error: psycopg.OperationalError) -> Exception:
    said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    if "authentication failed" in said or "does not exist" in said or "no password supplied" in said:
        return Rejected(f"{url.name}: {said}; the password is named by #secret=NAME", field="source")
    return NotNow(f"{url.name} cannot be read for the moment: {said}", delay_s=_RETRY_S)
