"""Keep some columns, in this order, or leave some out.

- select: {columns: [text, label]}
"""

from __future__ import annotations

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, check_columns


def apply(rows: pl.DataFrame, *, columns: list[str] | None = None, without: list[str] | None = None) -> Done:
    """Give either `columns`, those to keep, or `without`, those to leave out."""
    if (columns is None) == (without is None):
        raise Rejected(
            "give either the columns to keep or, as `without`, those to leave out", field="columns"
        )
    check_columns(rows, columns or [])
    check_columns(rows, without or [], "without")
    left = rows.select(columns) if columns is not None else rows.drop(without or [])
    if not left.width:
        raise Rejected("no column is left", field="columns" if columns is not None else "without")
    return Done(rows=left)
