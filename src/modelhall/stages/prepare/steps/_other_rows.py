"""Rows of another source as a step is given them: a file of Arrow, or a URL that holds it where no files are."""

from __future__ import annotations

import base64
import io

import polars as pl

_URL = "data:application/vnd.apache.arrow.file;base64,"


def read_rows(place: str) -> pl.DataFrame:
    """The rows of an option annotated `Rows`; those of a file are mapped into memory."""
    if place.startswith(_URL):
        return pl.read_ipc(base64.b64decode(place.removeprefix(_URL)))
    return pl.read_ipc(place)


def as_url(rows: pl.DataFrame) -> str:
    """A URL that holds the rows."""
    buffer = io.BytesIO()
    rows.write_ipc(buffer, compression="zstd")
    return _URL + base64.b64encode(buffer.getvalue()).decode()
