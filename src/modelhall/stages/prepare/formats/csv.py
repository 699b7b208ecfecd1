"""Comma-separated values as RFC 4180 has them, whatever the separator is."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.stages.prepare.formats import _delimited
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table


def read(
    files: Sequence[Part],
    *,
    header: bool = True,
    columns: list[str] | None = None,
    types: dict[str, str] | None = None,
    separator: str = ",",
    quote: str = '"',
    trim: bool = False,
    encoding: str | None = None,
) -> Table:
    """`columns` names them, instead of the first line or, without a header, column_1, column_2… An empty `quote`
    makes quotation marks characters like any other."""
    dialect = _delimited.Dialect(
        separator=separator, quote=quote or None, header=header, columns=columns, encoding=encoding, trim=trim
    )
    return _delimited.read(files, dialect, types or {})
