"""Give columns other names.

- rename: {columns: {text: review}}
"""

from __future__ import annotations

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, check_columns


def apply(rows: pl.DataFrame, *, columns: dict[str, str]) -> Done:
    """`columns` maps the names there are to new ones."""
    check_columns(rows, list(columns))
    renamed = [columns.get(name, name) for name in rows.columns]
    twice = next((name for name in renamed if renamed.count(name) > 1), None)
    if twice is not None:
        raise Rejected(f"two columns would be called {twice!r}", field="columns")
    return Done(rows=rows.rename(columns))


def origin(name: str, *, columns: dict[str, str]) -> str:
    """What a column was called before."""
    return next((old for old, new in columns.items() if new == name), name)
