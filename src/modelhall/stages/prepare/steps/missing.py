"""Fill in what is missing, or drop the rows.

- missing: {columns: [size], fill: median, indicator: true}
"""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Marks, check_columns, number_columns
from modelhall.stages.prepare.steps._fitting import counts, mean, numbers, quantile


def mark(
    rows: pl.DataFrame,
    *,
    columns: list[str],
    fill: Literal["mean", "median", "mode", "constant", "drop"] = "median",
) -> pl.DataFrame:
    """The columns alone."""
    check_columns(rows, columns)
    if fill in ("mean", "median"):
        number_columns(rows, columns)
    return rows.select(columns)


def fit(
    train: Marks,
    *,
    columns: list[str],
    fill: Literal["mean", "median", "mode", "constant", "drop"] = "median",
    value: str | int | float | bool | None = None,
) -> dict[str, Any]:
    """What each column is filled with: the mean, median or commonest value of the training split, or `value` where
    `fill` is constant; nothing with drop."""
    if (fill == "constant") != (value is not None):
        raise Rejected("`value` goes with `fill: constant`, and it with `value`", field="value")
    if fill in ("drop", "constant"):
        return dict.fromkeys(columns, value)
    if fill == "mode":
        found = {name: values[0][0] if values else None for name, values in counts(train, columns).items()}
    else:
        middle = mean if fill == "mean" else lambda values: quantile(values, 0.5)
        found = {
            name: middle(values) if len(values) else None for name, values in numbers(train, columns).items()
        }
    empty = next((name for name, filling in found.items() if filling is None), None)
    if empty is not None:
        raise Rejected(
            f"no row for training has a {empty!r}; leave the column out, or give a constant", field="columns"
        )
    return found


def apply(
    rows: pl.DataFrame,
    fitted: dict[str, Any],
    *,
    fill: Literal["mean", "median", "mode", "constant", "drop"] = "median",
    indicator: bool = False,
) -> Done:
    """Fill the columns; `indicator` adds `NAME_missing`, which says of each row whether there was nothing. NaN counts
    as missing, and dataset.json tells by column how many were NaN; Infinity is a value."""
    check_columns(rows, list(fitted))
    gone = {
        name: rows[name].is_null() | (rows[name].is_nan() if rows.schema[name].is_float() else False)
        for name in fitted
    }
    counts = {name: {"missing": rows[name].null_count(), "nan": _nans(rows[name])} for name in fitted}
    changed = rows.with_columns(marks.alias(f"{name}_missing") for name, marks in gone.items() if indicator)
    if fill == "drop":
        drop = {f"{name} is missing": marks for name, marks in gone.items()}
        return Done(rows=changed, drop=drop, counts=counts)
    for name, filling in fitted.items():
        # A mean of whole numbers is none itself.
        kind = (
            pl.Float64 if isinstance(filling, float) and rows.schema[name].is_integer() else rows.schema[name]
        )
        filled = pl.when(gone[name]).then(pl.lit(filling)).otherwise(pl.col(name).cast(kind))
        changed = changed.with_columns(filled.cast(pl.Float64 if kind == pl.Null else kind).alias(name))
    return Done(rows=changed, counts=counts)


def _nans(column: pl.Series) -> int:
    return int(column.is_nan().sum()) if column.dtype.is_float() else 0
