"""Bring numbers to one scale.

- normalize: {columns: [size], to: standard}
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Marks, number_columns
from modelhall.stages.prepare.steps._fitting import deviation, mean, numbers, quantile


def mark(rows: pl.DataFrame, *, columns: list[str]) -> pl.DataFrame:
    """The columns alone."""
    return rows.select(number_columns(rows, columns))


def fit(
    train: Marks,
    *,
    columns: list[str],
    to: Literal["standard", "min-max", "robust", "log"] = "standard",
) -> dict[str, list[float]]:
    """What is taken from each column, and what it is then divided by: mean and standard deviation; least and range;
    median and distance of the quartiles; or mean and standard deviation of log(1 + x). A column that is always the
    same becomes 0."""
    scales = {}
    for name, values in numbers(train, columns).items():
        if not len(values):
            raise Rejected(f"no row for training has a {name!r}", field="columns")
        if to == "log":
            if values.min() <= -1:
                raise Rejected(
                    f"{name!r} goes down to {values.min():g}: log(1 + x) needs more than -1", field="to"
                )
            values = np.log1p(values)
        if to == "min-max":
            shift, scale = float(values.min()), float(values.max() - values.min())
        elif to == "robust":
            shift, scale = quantile(values, 0.5), quantile(values, 0.75) - quantile(values, 0.25)
        else:
            shift, scale = mean(values), deviation(values)
        scales[name] = [shift, scale or 1.0]
    return scales


def apply(
    rows: pl.DataFrame,
    fitted: dict[str, list[float]],
    *,
    to: Literal["standard", "min-max", "robust", "log"] = "standard",
) -> Done:
    """What is missing stays so."""
    number_columns(rows, list(fitted))
    changed = []
    for name, (shift, scale) in fitted.items():
        # By numpy: polars may divide by multiplying, depending on how many rows there are.
        values = rows[name].cast(pl.Float64).to_numpy()
        scaled = ((np.log1p(values) if to == "log" else values) - shift) / scale
        changed.append(
            pl.select(pl.when(rows[name].is_not_null()).then(pl.Series(scaled))).to_series().alias(name)
        )
    return Done(rows=rows.with_columns(changed))
