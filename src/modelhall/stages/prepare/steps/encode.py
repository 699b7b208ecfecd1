"""Categories as numbers.

- encode: {columns: [label], by: one-hot}
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Marks, check_columns
from modelhall.stages.prepare.steps._fitting import counts

OTHER = -1
_MOST = 1000


def mark(rows: pl.DataFrame, *, columns: list[str]) -> pl.DataFrame:
    """The columns as text."""
    check_columns(rows, columns)
    return rows.select(pl.col(columns).cast(pl.String))


def fit(
    train: Marks,
    *,
    columns: list[str],
    by: Literal["one-hot", "ordinal", "frequency", "hashing"] = "one-hot",
    size: int | None = None,
) -> dict[str, list[list[Any]]]:
    """The categories of each column with their numbers, the commonest first, at most `size` of them. `frequency`
    keeps the share of rows; `hashing` needs to know nothing."""
    if by == "hashing":
        return {name: [] for name in columns}
    found: dict[str, list[list[Any]]] = {}
    for name, counted in counts(train, columns).items():
        most = size or (_MOST if by == "one-hot" else len(counted))
        if by == "one-hot" and size is None and len(counted) > _MOST:
            raise Rejected(
                f"{name!r} has {len(counted):,} categories; say how many are to be columns", field="size"
            )
        total = sum(count for _, count in counted)
        found[name] = [
            [value, count / total if by == "frequency" else place]
            for place, (value, count) in enumerate(counted[:most])
        ]
    return found


def apply(
    rows: pl.DataFrame,
    fitted: dict[str, list[list[Any]]],
    *,
    by: Literal["one-hot", "ordinal", "frequency", "hashing"] = "one-hot",
    size: int | None = None,
) -> Done:
    """`one-hot` puts a column `NAME=CATEGORY` for each category in the place of NAME; `ordinal` its number, -1 for
    one that training never saw, which in one-hot is all zeros and by frequency 0; `hashing` one of `size` (256)
    numbers by the SHA-256 of the text. What is missing stays so, or is all zeros."""
    check_columns(rows, list(fitted))
    for name, categories in fitted.items():
        column = rows[name].cast(pl.String)
        if by == "one-hot":
            hot = [
                (column == value).fill_null(False).cast(pl.UInt8).alias(f"{name}={value}")
                for value, _ in categories
            ]
            place = rows.columns.index(name)
            rows = pl.DataFrame([*rows.get_columns()[:place], *hot, *rows.get_columns()[place + 1 :]])
            continue
        if by == "hashing":
            different = column.drop_nulls().unique()
            table = {value: _hashed(value, size or 256) for value in different}
        else:
            table = dict(categories)
        kind = pl.Float64 if by == "frequency" else pl.Int64
        unknown = 0.0 if by == "frequency" else OTHER
        numbers = column.replace_strict(table, default=unknown, return_dtype=kind) if table else pl.Series(
            [unknown] * len(column), dtype=kind
        )  # fmt: skip
        rows = rows.with_columns(
            pl.when(column.is_null()).then(None).otherwise(numbers).cast(kind).alias(name)
        )
    return Done(rows=rows)


def _hashed(value: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "big") % size
