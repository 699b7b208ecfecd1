"""New columns computed from those there are.

- derive: {columns: {area: size * size, long: length(text) > 20, shown: 'upper(label) + "!"'}}
"""

from __future__ import annotations

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._expressions import expression


def apply(rows: pl.DataFrame, *, columns: dict[str, str]) -> Done:
    """`columns` maps each new column to an expression: names of columns, numbers, texts in quotation marks, + - * /
    // % **, comparisons, and, or, not, `a if b else c`, `x in [1, 2]`, and the functions abs, ceil, concat, contains,
    day, exp, fill, floor, hour, is_missing, length, log, lower, max, min, month, number, replace, round, sqrt, strip,
    text, upper, weekday, words, year. A column whose name is no word is `col("its name")`.

    Each sees the columns before it in the list.
    """
    for name, written in columns.items():
        try:
            rows = rows.with_columns(expression(written, rows.columns).alias(name))
        except Rejected as error:
            raise Rejected(error.message, field=f"columns.{name}") from None
        except pl.exceptions.PolarsError as error:
            raise Rejected(
                f"{written!r} does not work on these columns: {error}", field=f"columns.{name}"
            ) from None
    return Done(rows=rows)
