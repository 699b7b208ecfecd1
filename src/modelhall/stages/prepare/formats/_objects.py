"""Objects of JSON as columns, by the standard library: slower than polars, and it knows what is wrong with which."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import polars as pl

from modelhall.core.errors import Rejected

Where = Callable[[int], str]
"""How to name the object of a number in a message, such as `a.jsonl line 7`."""


def parsed(text: bytes | str, where: str) -> Any:
    """The value of a JSON text; NaN and Infinity are let in. Raises Rejected."""
    try:
        return json.loads(text)
    except RecursionError:
        raise Rejected(f"{where}: nested too deeply", field="source") from None
    except ValueError as error:
        raise Rejected(f"{where}: {error}", field="source") from None


def frame(rows: Sequence[Any], where: Where) -> pl.DataFrame:
    """One row an object, a column a field; raises Rejected for what is no object and a field that changes type."""
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Rejected(f"{where(number)}: not a JSON object", field="source")
        for name, value in row.items():
            values = columns.setdefault(name, [])
            values.extend([None] * (number - len(values)))
            values.append(value)
    series = []
    for name, values in columns.items():
        values.extend([None] * (len(rows) - len(values)))
        series.append(column(name, values, where))
    return pl.DataFrame(series) if series else pl.DataFrame(schema={})


def column(name: str, values: list[Any], where: Where) -> pl.Series:
    """Values of one type as a column, whole numbers among fractions as fractions. Raises Rejected."""
    seen: dict[str, str] = {}
    for number, value in enumerate(values):
        _check_sort(name, value, seen, partial(where, number))
    try:
        # From objects, since polars then looks at all of them before it decides on a type.
        return pl.from_dicts([{name: value} for value in values], infer_schema_length=None)[name]
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise Rejected(
            f"{where(0)}: {name!r} is not of one type: {str(error).splitlines()[0]}", field="source"
        ) from None


def _check_sort(path: str, value: Any, seen: dict[str, str], where: Callable[[], str]) -> None:
    """Raise Rejected if what is at `path` was of another sort before; also inside objects and lists."""
    if value is None:
        return
    sort = _sort(value)
    if seen.setdefault(path, sort) != sort:
        raise Rejected(
            f"{where()}: {path!r} is {sort}, and {seen[path]} before that; bring it into one type, or say "
            f"`format: {{types: {{{path}: str}}}}`",
            field="source",
        )
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_sort(f"{path}.{name}", inner, seen, where)
    if isinstance(value, list):
        for inner in value:
            _check_sort(f"{path}[]", inner, seen, where)


def _sort(value: Any) -> str:
    """The sort of a JSON value in words; all numbers are of one."""
    if isinstance(value, bool):
        return "true or false"
    return {int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}[type(value)]
