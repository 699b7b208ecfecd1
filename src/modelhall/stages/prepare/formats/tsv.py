"""Tab-separated values: no quoting, so a quotation mark is a character like any other; also gzipped."""

from __future__ import annotations

import polars as pl

from modelhall.stages.prepare.formats import Source, _delimited


def read(files: list[Source], *, header: bool = True, columns: list[str] | None = None) -> pl.DataFrame:
    """`columns` names them, instead of the first line or, without a header, column_1, column_2…"""
    return _delimited.read(files, separator="\t", quote=None, header=header, columns=columns)
