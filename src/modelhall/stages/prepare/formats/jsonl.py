"""One JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import _objects, _text, _types
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table, joined, settled


def read(files: Sequence[Part], *, types: dict[str, str] | None = None, encoding: str | None = None) -> Table:
    """The objects' fields become columns; a field that is missing is null."""
    said = {name: _types.NAMED[kind] for name, kind in (types or {}).items()}
    schema = pl.Schema()
    for part in files:
        for chunk in _text.chunks(part, encoding):
            where = f"{part.name} from line {chunk.first_line} on"
            schema = joined(schema, _inferred(part, chunk, said), where=where)
    agreed = settled(schema)
    _types.named(types or {}, agreed.names())
    return Table(schema=agreed, frames=lambda part: _frames(part, encoding, agreed))


def _frames(part: Part, encoding: str | None, schema: pl.Schema) -> Iterator[pl.DataFrame]:
    for chunk in _text.chunks(part, encoding):
        try:
            yield pl.read_ndjson(chunk.data, schema=schema)
        except pl.exceptions.PolarsError:
            yield _by_hand(part, chunk, schema)


def _inferred(part: Part, chunk: _text.Chunk, said: dict[str, _types.Kind]) -> pl.Schema:
    """The columns of a chunk and their types, those said as they are said."""
    try:
        # Polars passes over what the objects do not have.
        found = pl.read_ndjson(chunk.data, schema_overrides=said or None, infer_schema_length=None).schema
    except pl.exceptions.PolarsError:
        return _by_hand(part, chunk, said).schema
    told = [(name, kind) for name, kind in found.items() if name not in said]
    return _by_hand(part, chunk, said).schema if _may_be_mixed(chunk.data, told) else found


def _may_be_mixed(data: bytes, fields: Iterable[tuple[str, Any]]) -> bool:
    """Whether a field may have values of two types, which polars would write into one another."""
    for name, kind in fields:
        key = re.escape(json.dumps(name, ensure_ascii=False).encode())
        if re.search(key + rb"\s*:\s*(?![\s" + _beginnings(kind) + rb"])", data):
            return True
        inner = kind.inner if isinstance(kind, pl.List) else kind
        if isinstance(inner, pl.Struct) and _may_be_mixed(data, inner.to_schema().items()):
            return True
    return False


def _beginnings(kind: pl.DataType) -> bytes:
    """The first bytes that a value of this type can have, as in a character class."""
    if kind.is_numeric():
        return rb"\-0-9n"
    return {pl.String: b'"n', pl.Boolean: b"tfn", pl.List: rb"\[n", pl.Struct: b"{n"}.get(type(kind), b"n")


def _by_hand(part: Part, chunk: _text.Chunk, kinds: dict[str, _types.Kind] | pl.Schema) -> pl.DataFrame:
    """The chunk with NaN and Infinity let in, or Rejected with the line that is wrong."""
    lines = [
        (chunk.first_line + number, line)
        for number, line in enumerate(chunk.data.split(b"\n"))
        if line.strip()
    ]

    def where(number: int) -> str:
        return f"{part.name} line {lines[number][0]}"

    rows = [_objects.parsed(line, where(number)) for number, (_, line) in enumerate(lines)]
    columns = []
    for name in kinds:
        values = [row.pop(name, None) if isinstance(row, dict) else None for row in rows]
        columns.append(_as_said(name, values, kinds[name], where))
    rest = _objects.frame(rows, where)
    whole = isinstance(kinds, pl.Schema)
    return pl.DataFrame(columns) if whole else pl.DataFrame([*columns, *rest.get_columns()])


def _as_said(name: str, values: list[object], kind: object, where: _objects.Where) -> pl.Series:
    """Values in the type that is said or was found; raises Rejected at the first that does not fit."""
    made = pl.Series(name, values, dtype=kind, strict=False)  # type: ignore[arg-type]
    lost = [number for number, value in enumerate(values) if value is not None and made[number] is None]
    if lost:
        raise Rejected(
            f"{where(lost[0])}: {values[lost[0]]!r} in {name!r} is not {made.dtype}", field="format.types"
        )
    return made
