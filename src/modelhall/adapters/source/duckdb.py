"""The rows of a query of a DuckDB file: duckdb:///folder/file.duckdb with `format: {query: select …}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelhall.adapters.source import _asked, _database_file
from modelhall.core.errors import Rejected
from modelhall.core.ports.source import Access, Found

_ROWS = 10_000
_ALONE: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "lock_configuration": True,
    "threads": 1,
}
"""A query sees this one file: no other files, no network, no extensions, and it cannot let itself out."""


def find(url: str, access: Access) -> list[Found]:
    """The rows as one file. Raises Rejected for a query that is wrong or does more than read."""
    file = _database_file.named_by(url)
    query = _asked.query_of(access, url)
    try:
        # Heavy, and of an extra: only who reads from DuckDB needs it.
        import duckdb
    except ImportError:
        raise Rejected(
            "duckdb:// needs the library duckdb: pip install 'modelhall[duckdb]'", field="source"
        ) from None
    try:
        with duckdb.connect(str(file), read_only=True, config=_ALONE) as connection:
            answer = connection.execute(query)
            columns = [column[0] for column in answer.description or ()]
            return _asked.written(f"duckdb://{file}", query, columns, _rows(answer), access)
    except duckdb.Error as error:
        raise Rejected(f"{file}: {str(error).splitlines()[0]}", field="format.query") from None


def fingerprint(url: str, access: Access) -> str:
    """The digest of sizes and times of change; no content is read."""
    return _database_file.fingerprint(_database_file.named_by(url), ".wal")


def _rows(answer: Any) -> Iterator[Sequence[Any]]:
    while rows := answer.fetchmany(_ROWS):
        yield from rows
