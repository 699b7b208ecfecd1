"""Tab-separated values: no quoting, so a quotation mark is a character like any other."""

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
    trim: bool = False,
    encoding: str | None = None,
) -> Table:
    """`columns` names them, instead of the first line or, without a header, column_1, column_2…"""
    dialect = _delimited.Dialect(
        separator="\t", quote=None, header=header, columns=columns, encoding=encoding, trim=trim
    )
    return _delimited.read(files, dialect, types or {})
