"""The rows of a query as a file: JSON, an object a line, which keeps what is a number, a text, missing."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from modelhall.adapters.source import _room
from modelhall.core import digest
from modelhall.core.errors import Broken, Rejected
from modelhall.core.ports.source import Access, Found

Rows = Iterable[Sequence[Any]]


def query_of(access: Access, url: str) -> str:
    """What is to be asked; raises Rejected when nothing is said."""
    if not (access.query or "").strip():
        raise Rejected(
            f"{url} is a database: say what to ask by `format: {{query: select …}}`", field="format.query"
        )
    return str(access.query).strip().rstrip(";")


def written(name: str, query: str, columns: Sequence[str], rows: Rows, access: Access) -> list[Found]:
    """Write the rows as they come, and say where. Raises Rejected for what has no place in a table, and past the
    limits."""
    if access.folder is None:
        raise Broken("there is no folder to write rows to")
    if len(set(columns)) < len(columns):
        raise Rejected("the query has two columns of one name; name them by `as`", field="format.query")
    asked = digest.of_json([name, query])[:16]
    target = access.folder / f"{asked}.jsonl"
    access.folder.mkdir(parents=True, exist_ok=True)
    limit = access.rules.limits.download_bytes
    with _room.kept_for(name), target.open("w", encoding="utf-8") as file:
        size = 0
        for row in rows:
            line = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=_plain) + "\n"
            size += len(line)
            if size > limit:
                raise Rejected(
                    f"the query answers with more than {limit:,} bytes (setting `source_download_bytes`)",
                    field="format.query",
                )
            file.write(line)
    return [Found(path=target, name=f"{name}/{asked}.jsonl")]


def _plain(value: Any) -> Any:
    """A value that JSON has no word for, in one that it has."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, uuid.UUID):
        return str(value)
    raise Rejected(
        f"the query answers with a {type(value).__name__}; bring it into text or numbers, such as by hex(…)",
        field="format.query",
    )
