"""What type a column of written values is: found over the whole file, promoted only where nothing is lost.

A whole number is one that can be written back the same: 007 is text. NaN and Infinity are numbers. Empty is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean

Kind = type[pl.DataType]

NAMED: Mapping[str, Kind] = {
    "int": pl.Int64,
    "float": pl.Float64,
    "str": pl.String,
    "bool": pl.Boolean,
}
"""The types a hall file can name."""

LARGE = pl.Int128
"""Stands for whole numbers of which some are too large to be floats as well; the column itself is Int64."""

_EXACT = 2**53
_WHOLE_NOT_AS_WRITTEN = r"^(?:\+|-?0\d|-0$)"
_FLOAT_NOT_AS_WRITTEN = r"^(?:\+|-?0\d|-?\d{16,}$)"


def named(types: Mapping[str, str], columns: list[str]) -> dict[str, Kind]:
    """The types the hall file says, by column; raises Rejected for a column that is not there."""
    for column in types:
        if column not in columns:
            raise Rejected(f"no column {column!r}; {did_you_mean(column, columns)}", field="format.types")
    return {column: NAMED[name] for column, name in types.items()}


def told_by(values: pl.Series) -> Kind:
    """The narrowest type that holds written `values`; Null when there are none."""
    written = values.filter(values.is_not_null() & (values != ""))
    if not written.len():
        return pl.Null
    # A few first: they tell most columns of text.
    kinds = [kind for kind in (pl.Int64, pl.Float64, pl.Boolean) if _holds(written.head(32), kind)]
    kind = next((kind for kind in kinds if _holds(written, kind)), pl.String)
    if kind == pl.Int64:
        least, most = written.cast(pl.Int64).min(), written.cast(pl.Int64).max()
        return pl.Int64 if least >= -_EXACT and most <= _EXACT else LARGE  # type: ignore[operator]
    return kind


def as_type(values: pl.Series, kind: Kind) -> pl.Series:
    """Written values as `kind`; null where one does not fit."""
    if kind == pl.Boolean:
        return values.str.to_lowercase().replace_strict(
            {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
        )
    return values if kind == pl.String else values.cast(kind, strict=False)


def wider(a: Kind, b: Kind) -> Kind:
    """The type that holds written values of both."""
    if a == b or b == pl.Null:
        return a
    if a == pl.Null:
        return b
    if {a, b} == {pl.Int64, LARGE}:
        return LARGE
    return pl.Float64 if {a, b} == {pl.Int64, pl.Float64} else pl.String


def settled(kind: Kind) -> Kind:
    """The type of a column once all of its values are known: text where there is none."""
    if kind == LARGE:
        return pl.Int64
    return pl.String if kind == pl.Null else kind


def _holds(written: pl.Series, kind: Kind) -> bool:
    """Whether every value is of `kind` and can be written back the same."""
    if as_type(written, kind).null_count():
        return False
    if kind == pl.Boolean:
        return True
    not_as_written = _WHOLE_NOT_AS_WRITTEN if kind == pl.Int64 else _FLOAT_NOT_AS_WRITTEN
    return not written.str.contains(not_as_written).any()
