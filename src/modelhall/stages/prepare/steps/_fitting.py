"""What steps that are fitted on columns of numbers and of words have in common: looking at them shard by shard."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl


def numbers(train: Iterable[pl.DataFrame], columns: Sequence[str]) -> dict[str, np.ndarray]:
    """The finite values of each column, float64: eight bytes a row are held."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    for rows in train:
        for name in columns:
            values = rows[name].drop_nulls().cast(pl.Float64).to_numpy()
            parts[name].append(values[np.isfinite(values)])
    return {name: np.concatenate(part) if part else np.zeros(0) for name, part in parts.items()}


def counts(train: Iterable[pl.DataFrame], columns: Sequence[str]) -> dict[str, list[tuple[Any, int]]]:
    """The different values of each column and how often each comes; the commonest first, equally common ones by
    their text."""
    found: dict[str, Counter[Any]] = {name: Counter() for name in columns}
    for rows in train:
        for name in columns:
            found[name].update(dict(rows[name].drop_nulls().value_counts().iter_rows()))
    return {
        name: sorted(counted.items(), key=lambda pair: (-pair[1], str(pair[0])))
        for name, counted in found.items()
    }


def mean(values: np.ndarray) -> float:
    """Of exact sums: the same on any machine."""
    return math.fsum(values.tolist()) / len(values)


def deviation(values: np.ndarray) -> float:
    """The standard deviation, of the whole and not of a sample."""
    return math.sqrt(math.fsum(((values - mean(values)) ** 2).tolist()) / len(values))


def quantile(values: np.ndarray, share: float) -> float:
    """Between two values, in proportion."""
    return float(np.quantile(values, share))
