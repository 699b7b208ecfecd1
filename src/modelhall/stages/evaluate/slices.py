"""Slices: the metrics of the rows that have one value in a column, so that a good mean hides nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.tasks import Predictions

MOST_VALUES = 100
"""Of one column."""


def slices(
    rows: pl.DataFrame,
    columns: Sequence[str],
    predictions: Predictions,
    measures: Mapping[str, Callable[[Predictions], float]],
) -> dict[str, float]:
    """Each metric of each slice as `accuracy[sex=Female]`. Raises Rejected for a column that is not there, or has too
    many values to be a slice each."""
    found: dict[str, float] = {}
    for column in columns:
        if column not in rows.columns:
            raise Rejected(
                f"no column {column!r} to slice by; {did_you_mean(column, rows.columns)}", field="slices"
            )
        values = rows[column].cast(pl.String).fill_null("").to_numpy()
        names = np.unique(values)
        if len(names) > MOST_VALUES:
            raise Rejected(
                f"{column} has {len(names)} values, more than {MOST_VALUES}; `bucket` makes ranges of numbers",
                field="slices",
            )
        for value in names:
            part = predictions.take(np.flatnonzero(values == value))
            found |= {f"{name}[{column}={value}]": measure(part) for name, measure in measures.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
