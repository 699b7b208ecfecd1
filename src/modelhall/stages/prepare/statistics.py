"""What is worth knowing of each column: counted shard by shard, added up in their order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from modelhall.stages.prepare._media import counted

BINS = 20
VALUES = 50
"""Columns with at most as many different values in a shard have them counted."""
_OTHERS = "others"
_EXTREMES = {"least": min, "largest": max, "shortest": min, "longest": max}


def columns(rows: pl.DataFrame) -> dict[str, str]:
    """The type of each column."""
    return {name: str(kind).lower() for name, kind in rows.schema.items()}


def of_shard(rows: pl.DataFrame) -> dict[str, Any]:
    """What can be added up: counts, the least and the largest, sums, lengths, and values where there are few."""
    return {name: _of_column(rows[name]) for name in rows.columns}


def add(shards: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `of_shard` told of several shards as one."""
    added: dict[str, dict[str, Any]] = {}
    for shard in shards:
        for name, told in shard.items():
            added[name] = _added(added[name], told) if name in added else dict(told)
    return added


def finish(added: Mapping[str, Any], columns: Mapping[str, Sequence[pl.Series]]) -> dict[str, Any]:
    """The statistics as they are shown. `columns` are those of numbers, in parts, to be looked at once more."""
    return {name: _finished(told, columns.get(name, ())) for name, told in added.items()}


def _of_column(column: pl.Series) -> dict[str, Any]:
    told: dict[str, Any] = {"rows": len(column), "nulls": column.null_count()}
    if column.dtype.is_numeric():
        told |= _of_numbers(column.drop_nulls())
    if column.dtype in (pl.String, pl.Binary):
        sizes = column.str.len_chars() if column.dtype == pl.String else column.bin.size()
        told |= _of_lengths(sizes)
    if column.dtype == pl.Binary:
        told |= counted(column)
    if isinstance(column.dtype, pl.List):
        told |= _of_lengths(column.list.len())
    if column.dtype in (pl.String, pl.Boolean) or column.dtype.is_integer():
        values = column.drop_nulls().value_counts() if column.head(10_000).n_unique() <= VALUES else None
        few = values if values is not None and values.height <= VALUES else None
        told["values"] = None if few is None else {str(value): count for value, count in few.iter_rows()}
    return told


def _of_numbers(column: pl.Series) -> dict[str, Any]:
    values = column.cast(pl.Float64).to_numpy()
    finite = values[np.isfinite(values)]
    nans = int(np.isnan(values).sum())
    return {
        "nans": nans,
        "infinite": len(values) - nans - len(finite),
        "least": float(finite.min()) if len(finite) else None,
        "largest": float(finite.max()) if len(finite) else None,
        "sum": _sum(finite),
    }


def _of_lengths(sizes: pl.Series) -> dict[str, Any]:
    """Lengths by powers of two: how many are 0, 1, 2-3, 4-7…"""
    found = sizes.drop_nulls().cast(pl.Int64).to_numpy()
    powers = np.bincount(np.frexp(found.astype(np.float64))[1]).tolist() if len(found) else []
    return {
        "length_sum": int(found.sum()),
        "lengths": powers,
        "shortest": int(found.min()) if len(found) else None,
        "longest": int(found.max()) if len(found) else None,
    }


def _added(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    added: dict[str, Any] = {}
    for key in {**one, **other}:
        value, more = one.get(key), other.get(key)
        if key in _EXTREMES:
            there = [known for known in (value, more) if known is not None]
            added[key] = _EXTREMES[key](there) if there else None
        elif key == "lengths":
            longest = max(len(value or ()), len(more or ()))
            pairs = zip(_padded(value or [], longest), _padded(more or [], longest), strict=True)
            added[key] = [a + b for a, b in pairs]
        elif key == "values":
            both = None if value is None or more is None else dict(Counter(value) + Counter(more))
            added[key] = both if both is not None and len(both) <= VALUES else None
        elif key in ("pictures", "sounds"):
            added[key] = _commonest(Counter(value or {}) + Counter(more or {}))
        else:
            added[key] = (value or 0) + (more or 0)
    return added


def _commonest(counted: Mapping[str, int]) -> dict[str, int]:
    """At most VALUES sorts, and how many are of the others."""
    ordered = sorted(counted.items(), key=lambda pair: (pair[0] == _OTHERS, -pair[1], pair[0]))
    if len(ordered) <= VALUES:
        return dict(ordered)
    return dict(ordered[: VALUES - 1]) | {_OTHERS: sum(count for _, count in ordered[VALUES - 1 :])}


def _finished(told: Mapping[str, Any], parts: Sequence[pl.Series]) -> dict[str, Any]:
    shown = {
        key: value for key, value in told.items() if key not in ("sum", "length_sum") and value is not None
    }
    there = told["rows"] - told["nulls"]
    if "length_sum" in told and there:
        shown["mean_length"] = told["length_sum"] / there
    for sort in ("pictures", "sounds"):
        if sort in told:
            shown[sort] = _commonest(told[sort])
    if told.get("values"):
        shown["values"] = dict(sorted(told["values"].items(), key=lambda pair: (-pair[1], pair[0])))
    if told.get("least") is None:
        return shown
    finite_count = there - told["nans"] - told["infinite"]
    mean = told["sum"] / finite_count
    low, high = told["least"], told["largest"]
    squares, histogram = [], np.zeros(BINS, np.int64)
    for part in parts:
        values = part.drop_nulls().cast(pl.Float64).to_numpy()
        finite = values[np.isfinite(values)]
        squares.append(_sum((finite - mean) ** 2))
        if high > low and math.isfinite(high - low):
            histogram += np.histogram(finite, bins=BINS, range=(low, high))[0]
    deviation = math.sqrt(math.fsum(squares) / finite_count)
    return {**shown, "mean": mean, "deviation": deviation, "histogram": histogram.tolist()}


def _sum(values: np.ndarray) -> float:
    """Rounded once, at the end: the same on any machine. Not finite only where the sum is none."""
    try:
        return math.fsum(values.tolist())
    except OverflowError:
        return 0.0


def _padded(values: Sequence[int], length: int) -> list[int]:
    return [*values, *[0] * (length - len(values))]
