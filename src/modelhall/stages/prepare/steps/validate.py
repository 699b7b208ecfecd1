"""Say what must hold of the data; if it does not, there is no version.

- validate: {unique: [id], not_null: [text], values: {label: [good, bad]}, ranges: {size: [0, 100]}, min_rows: 5}
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, Verdict, check_columns, number_columns, text_columns

_SHOWN = 3


def mark(
    rows: pl.DataFrame,
    *,
    not_null: list[str] | None = None,
    unique: list[str] | None = None,
    values: dict[str, list[Any]] | None = None,
    ranges: dict[str, list[Any]] | None = None,
    matches: dict[str, str] | None = None,
) -> pl.DataFrame:
    """By expectation, whether each row breaks it; and 128 bits of what must not come twice."""
    broken: dict[str, pl.Series] = {}
    check_columns(rows, not_null or [], "not_null")
    for name in not_null or []:
        broken[f"{name} is missing"] = rows[name].is_null()
    check_columns(rows, list(values or {}), "values")
    for name, allowed in (values or {}).items():
        words = [str(value) for value in allowed]
        broken[f"{name} is not one of {allowed}"] = ~rows[name].cast(pl.String).is_in(words)
    number_columns(rows, list(ranges or {}), "ranges")
    for name, bounds in (ranges or {}).items():
        if len(bounds) != 2 or not all(isinstance(bound, (int, float, type(None))) for bound in bounds):
            raise Rejected(f"a range is [least, largest], either of them null, not {bounds}", field="ranges")
        broken[f"{name} is not within {bounds}"] = _outside(rows[name], *bounds)
    text_columns(rows, list(matches or {}), "matches")
    for name, pattern in (matches or {}).items():
        broken[f"{name} does not match {pattern}"] = ~rows[name].str.contains(pattern)
    marks = pl.DataFrame({"row": pl.repeat(True, rows.height, eager=True)})
    marks = marks.with_columns(
        series.fill_null(False).alias(f"broken {rule}") for rule, series in broken.items()
    )
    check_columns(rows, unique or [], "unique")
    for place, name in enumerate(unique or []):
        one, other = (rows.select(name).hash_rows(seed) for seed in (0, 1))
        marks = marks.with_columns(one.alias(f"one {place}"), other.alias(f"other {place}"))
    return marks


def decide(
    marks: Marks,
    *,
    unique: list[str] | None = None,
    min_rows: int | None = None,
    max_broken: float = 0.0,
) -> Verdict:
    """Refuse the version unless all of it holds: columns `not_null`, `unique`, with certain `values`, within `ranges`
    (a bound that is null is open), matching regular expressions (`matches`), and at least `min_rows` rows.

    A share of `max_broken` rows may break each expectation. Nulls break `not_null` alone.
    """
    total = len(marks.split_of_rows())
    if min_rows is not None and total < min_rows:
        raise Rejected(f"there are {total} rows, fewer than {min_rows}", field="min_rows")
    told = []
    for name in marks.names:
        if name.startswith("broken "):
            told.append((name.removeprefix("broken "), marks.column(name).to_numpy()))
    for place, name in enumerate(unique or []):
        told.append((f"{name} comes twice", _repeats(marks, place)))
    wrong = [
        f"{rule} in {broken.sum()} of {total} rows, such as {', '.join(map(str, np.flatnonzero(broken)[:_SHOWN]))}"
        for rule, broken in told
        if broken.sum() > max_broken * total
    ]
    if wrong:
        raise Rejected(f"the data is not as expected: {'; '.join(wrong)}")
    return Verdict()


def _outside(column: pl.Series, least: Any, largest: Any) -> pl.Series:
    outside = pl.repeat(False, len(column), eager=True)
    if least is not None:
        outside = outside | (column < least)
    if largest is not None:
        outside = outside | (column > largest)
    return outside | (column.is_nan() if column.dtype.is_float() else False)


def _repeats(marks: Marks, place: int) -> np.ndarray:
    pairs = pl.DataFrame([marks.column(f"one {place}"), marks.column(f"other {place}")])
    return pairs.is_duplicated().to_numpy()
