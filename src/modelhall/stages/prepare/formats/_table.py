"""What every format makes of its files: one schema, and the rows of each file by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._source import Part


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that are read as they are asked for."""

    schema: pl.Schema
    """Of every frame, found by looking at all files."""
    frames: Callable[[Part], Iterator[pl.DataFrame]]
    """The rows of one of the files in order, in frames of any size. Raises Rejected at the first that is wrong."""


def check_same_columns(part: Part, columns: Sequence[str], first: Part, of_first: Sequence[str]) -> None:
    """Raise Rejected unless two files have the same columns in the same order."""
    if list(columns) != list(of_first):
        raise Rejected(
            f"{part.name} has the columns {', '.join(columns)}; {first.name} has {', '.join(of_first)}",
            field="source",
        )


def joined(schema: pl.Schema, other: pl.Schema, *, where: str) -> pl.Schema:
    """The schema that holds the values of both without loss; raises Rejected, naming `where` the other was found."""
    kinds = dict(schema)
    for column, kind in other.items():
        known = kinds.get(column, pl.Null())
        wider = _wider(known, kind)
        if wider is None:
            raise Rejected(
                f"{where}: column {column!r} is {kind}, and {known} before that; bring it into one type",
                field="source",
            )
        kinds[column] = wider
    return pl.Schema(kinds)


def settled(schema: pl.Schema) -> pl.Schema:
    """The schema once all values are known: a column that never had one is text."""
    return pl.Schema({name: pl.String() if kind == pl.Null else kind for name, kind in schema.items()})


def _wider(a: pl.DataType, b: pl.DataType) -> pl.DataType | None:
    """The type that holds the values of both; None when there is none."""
    if a == b or b == pl.Null:
        return a
    if a == pl.Null:
        return b
    if isinstance(a, pl.List) and isinstance(b, pl.List):
        inner = _wider(_instance(a.inner), _instance(b.inner))
        return None if inner is None else pl.List(inner)
    if isinstance(a, pl.Struct) and isinstance(b, pl.Struct):
        fields = {field.name: _instance(field.dtype) for field in a.fields}
        for field in b.fields:
            both = _wider(fields.get(field.name, pl.Null()), _instance(field.dtype))
            if both is None:
                return None
            fields[field.name] = both
        return pl.Struct(fields)
    if a.is_numeric() and b.is_numeric():
        return pl.concat(
            [pl.DataFrame(schema={"x": a}), pl.DataFrame(schema={"x": b})], how="vertical_relaxed"
        ).schema["x"]
    return None


def _instance(kind: Any) -> pl.DataType:
    """The type itself, where polars may name it by its class."""
    found: pl.DataType = kind() if isinstance(kind, type) else kind
    return found
