"""Columns of lists, from and to one flat array: rows of unequal length without a Python object for each value."""

from __future__ import annotations

import numpy as np
import polars as pl


def lists(name: str, flat: np.ndarray, counts: np.ndarray) -> pl.Series:
    """A column of lists: the first `counts[0]` values, the next `counts[1]`…"""
    holding = np.flatnonzero(counts)
    rows = pl.Series("row", np.repeat(np.arange(len(holding)), counts[holding])).set_sorted()
    frame = pl.DataFrame([pl.Series(name, flat), rows]).lazy()
    # Groups of a sorted column are cut, not searched for.
    found = frame.group_by("row", maintain_order=True).agg(name).collect()[name]
    if len(holding) == len(counts):
        return found
    with_empty = pl.concat([found, pl.Series(name, [[]], found.dtype)])
    places = np.full(len(counts), len(found))
    places[holding] = np.arange(len(found))
    return with_empty[places]


def flat(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The values of all lists, and how many each has; none for one that is null."""
    counts = column.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    kept = column.filter(pl.Series(counts) > 0)
    inner = column.dtype.inner  # type: ignore[attr-defined]
    values = kept.explode().to_numpy() if len(kept) else pl.Series([], dtype=inner).to_numpy()
    return values, counts
