"""Columns of another source or data set, put beside the rows that have the same key.

- join: {source: stays.csv, by: id}
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Rows, check_columns
from modelhall.stages.prepare.steps._other_rows import read_rows

KEPT_BYTES = 2**20
"""As much of the other side is handed on to replicas; it travels in JSON."""
_FOUND = "found in the other source"


def apply(
    rows: pl.DataFrame,
    *,
    source: Rows,
    by: str | list[str] | dict[str, str],
    kind: Literal["inner", "left"] = "inner",
    columns: list[str] | None = None,
    suffix: str = "_other",
    many: bool = False,
    format: dict[str, Any] | None = None,
) -> Done:
    """Add `columns`, by default all, of the rows of `source` whose key is that of the row. `source` and `format` are
    written as a data set's own; the other side is held in memory, once for all processes.

    `by` names the columns of the key, or maps those here to those there. A key comes once in `source`; with `many`, a
    row comes as often as its key does. A row without a match is dropped, or with `kind: left` has nothing in those
    columns; a key that is missing matches nothing. A column there is already gets the `suffix`.
    """
    keys = _keys(by)
    check_columns(rows, list(keys), "by")
    other = _other(source, tuple(keys.values()), None if columns is None else tuple(columns), many)
    other = _typed(_named(other, rows, keys, suffix), rows, keys).with_columns(pl.lit(True).alias(_FOUND))
    joined = rows.join(other, on=list(keys), how="left", maintain_order="left_right")
    found = joined[_FOUND].fill_null(False)
    return Done(rows=joined.drop(_FOUND), drop={"no match": ~found} if kind == "inner" else {})


def for_requests(other: pl.DataFrame, *, many: bool = False) -> pl.DataFrame:
    """What replicas are handed of the other side: all of it if it is small, else its columns without a row. With
    `many` there is no telling which of several is meant for a request."""
    return other.clear() if many or other.estimated_size() > KEPT_BYTES else other


def _keys(by: str | list[str] | dict[str, str]) -> dict[str, str]:
    keys = by if isinstance(by, dict) else {name: name for name in ([by] if isinstance(by, str) else by)}
    if not keys or len(set(keys.values())) < len(keys):
        raise Rejected(f"a key is made of different columns, not {by}", field="by")
    return keys


@lru_cache(maxsize=4)
def _other(source: str, key: tuple[str, ...], columns: tuple[str, ...] | None, many: bool) -> pl.DataFrame:
    """The columns that are joined, of the rows that have a key."""
    other = read_rows(source)
    check_columns(other, key, "by")
    check_columns(other, columns or ())
    other = other if columns is None else other.select(list(dict.fromkeys((*key, *columns))))
    if any(other[name].null_count() for name in key):
        other = other.drop_nulls(list(key))
    twice = other.select(key).is_duplicated()
    if not many and twice.any():
        shown = ", ".join(map(str, other.select(key).row(int(twice.arg_true()[0]))))
        raise Rejected(
            f"{twice.sum()} rows of the other source share their key, such as {shown}; `many: true` joins them all",
            field="by",
        )
    return other


def _named(other: pl.DataFrame, rows: pl.DataFrame, keys: dict[str, str], suffix: str) -> pl.DataFrame:
    """The other side with its key called as it is here, and no other column as one that is here."""
    names = {theirs: ours for ours, theirs in keys.items()}
    for name in other.columns:
        if name not in names:
            names[name] = name + suffix if name in rows.columns else name
    called = list(names.values())
    twice = next((n for n in called if called.count(n) > 1 or (n in rows.columns and n not in keys)), None)
    if twice is not None:
        raise Rejected(f"two columns would be called {twice!r}; another suffix would do", field="suffix")
    return other.rename(names)


def _typed(other: pl.DataFrame, rows: pl.DataFrame, keys: dict[str, str]) -> pl.DataFrame:
    """The other side with a key of the types it has here; raises Rejected where equal values would not be found."""
    for name in keys:
        ours, theirs = rows.schema[name], other.schema[name]
        if ours.is_float() or theirs.is_float():
            raise Rejected(f"{name!r} holds fractions, which are no key", field="by")
        if ours != theirs and not (ours.is_integer() and theirs.is_integer()):
            raise Rejected(
                f"{name!r} holds {ours} here and {theirs} in the other source; `types` in either `format` makes them "
                "the same",
                field="by",
            )
    # A number that is too large for the type here is the key of no row here.
    return other.with_columns(pl.col(name).cast(rows.schema[name], strict=False) for name in keys)
