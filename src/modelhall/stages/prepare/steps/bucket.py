"""Numbers as the number of the range they are in.

- bucket: {column: size, count: 4}
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Marks, number_columns
from modelhall.stages.prepare.steps._fitting import numbers


def mark(rows: pl.DataFrame, *, column: str) -> pl.DataFrame:
    """The column alone."""
    return rows.select(number_columns(rows, [column], "column"))


def fit(
    train: Marks,
    *,
    column: str,
    bounds: list[float] | None = None,
    count: int | None = None,
    by: Literal["quantile", "width"] = "quantile",
) -> list[float]:
    """The bounds between ranges: `bounds`, or those that make `count` ranges with as many rows of the training split
    in each, or of the same width."""
    if (bounds is None) == (count is None):
        raise Rejected(
            "give either the bounds between ranges, or how many ranges there are to be", field="bounds"
        )
    if bounds is not None:
        if not all(a < b for a, b in pairwise(bounds)):
            raise Rejected(f"bounds rise, which {bounds} do not", field="bounds")
        return [float(bound) for bound in bounds]
    values = numbers(train, [column])[column]
    if not len(values) or (count or 0) < 2:
        raise Rejected(
            f"{len(values)} numbers do not make {count} ranges; at least 2, of numbers", field="count"
        )
    shares = np.linspace(0, 1, (count or 0) + 1)[1:-1]
    inner = np.quantile(values, shares) if by == "quantile" else values.min() + shares * np.ptp(values)
    return sorted(set(inner.tolist()))


def apply(rows: pl.DataFrame, fitted: list[float], *, column: str, into: str | None = None) -> Done:
    """`into`, by default the column itself, becomes 0 below the first bound, and one more from each bound on. What is
    missing stays so."""
    number_columns(rows, [column], "column")
    values = rows[column].cast(pl.Float64).fill_nan(None)
    places = np.searchsorted(np.array(fitted), values.fill_null(0).to_numpy(), side="right")
    ranges = pl.select(
        pl.when(values.is_null()).then(None).otherwise(pl.Series(places, dtype=pl.Int64))
    ).to_series()
    return Done(rows=rows.with_columns(ranges.alias(into or column)))
