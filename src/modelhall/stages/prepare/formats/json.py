"""One JSON text a file: a list of objects, or an object of columns. Read as a whole; jsonl is for what is large."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import _objects, _text
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table, check_same_columns, joined, settled


def read(files: Sequence[Part], *, encoding: str | None = None) -> Table:
    """The fields, or the columns; a field that is missing is null."""
    schema = pl.Schema()
    first: list[str] = []
    for part in files:
        found = _frame(part, encoding).schema
        first = first or found.names()
        check_same_columns(part, found.names(), files[0], first)
        schema = joined(schema, found, where=part.name)
    agreed = settled(schema)
    return Table(schema=agreed, frames=lambda part: iter([_frame(part, encoding).cast(agreed)]))


def _frame(part: Part, encoding: str | None) -> pl.DataFrame:
    value = _objects.parsed(_text.whole(part, encoding), part.name)
    if isinstance(value, list):
        return _objects.frame(value, lambda number: f"{part.name} object {number + 1}")
    if isinstance(value, dict) and value and all(isinstance(values, list) for values in value.values()):
        lengths = {name: len(values) for name, values in value.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise Rejected(f"{part.name}: its columns are of different lengths: {said}", field="source")
        rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        return _objects.frame(rows, lambda number: f"{part.name} row {number + 1}")
    raise Rejected(f"{part.name} is neither a list of objects nor an object of columns", field="source")
