"""A folder of documents, such as Markdown or HTML: a row a file, its text as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from modelhall.stages.prepare.formats import _text
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table

_SCHEMA = pl.Schema({"name": pl.String(), "text": pl.String()})


def read(files: Sequence[Part], *, encoding: str | None = None) -> Table:
    """Columns `name` (the file's) and `text`; what marks it up is left to `clean`."""
    return Table(schema=_SCHEMA, frames=lambda part: _row(part, encoding))


def _row(part: Part, encoding: str | None) -> Iterator[pl.DataFrame]:
    yield pl.DataFrame([[part.bare_name, _text.whole(part, encoding)]], schema=_SCHEMA, orient="row")
