"""Find numbers that lie far from the rest; drop the rows, bring them to the border, or mark them.

- outliers: {columns: [size], by: iqr, action: clip}
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Marks, number_columns
from modelhall.stages.prepare.steps._fitting import deviation, mean, numbers, quantile

_FACTORS = {"iqr": 1.5, "z-score": 3.0}


def mark(rows: pl.DataFrame, *, columns: list[str]) -> pl.DataFrame:
    """The columns alone."""
    return rows.select(number_columns(rows, columns))


def fit(
    train: Marks,
    *,
    columns: list[str],
    by: Literal["iqr", "z-score"] = "iqr",
    factor: float | None = None,
) -> dict[str, list[float]]:
    """The borders of each column: `factor` (1.5) times the distance of the quartiles outside of them (Tukey 1977), or
    `factor` (3) standard deviations from the mean."""
    width = _FACTORS[by] if factor is None else factor
    if width <= 0:
        raise Rejected(f"a factor is above 0, not {width:g}", field="factor")
    borders = {}
    for name, values in numbers(train, columns).items():
        if not len(values):
            raise Rejected(f"no row for training has a {name!r}", field="columns")
        if by == "iqr":
            low, high = quantile(values, 0.25), quantile(values, 0.75)
            spread = high - low
        else:
            low = high = mean(values)
            spread = deviation(values)
        borders[name] = [low - width * spread, high + width * spread]
    return borders


def apply(
    rows: pl.DataFrame, fitted: dict[str, list[float]], *, action: Literal["drop", "clip", "flag"] = "clip"
) -> Done:
    """`flag` adds `NAME_outlier`. What is missing is no outlier."""
    number_columns(rows, list(fitted))
    outside = {
        name: ((rows[name] < low) | (rows[name] > high)).fill_null(False)
        for name, (low, high) in fitted.items()
    }
    if action == "drop":
        return Done(rows=rows, drop={f"{name} is an outlier": marks for name, marks in outside.items()})
    if action == "flag":
        return Done(rows=rows.with_columns(marks.alias(f"{name}_outlier") for name, marks in outside.items()))
    return Done(rows=rows.with_columns(pl.col(name).cast(pl.Float64).clip(*fitted[name]) for name in fitted))
