"""Plain text: a row a line, a paragraph or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import polars as pl

from modelhall.stages.prepare.formats import _text, documents
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table

_SCHEMA = pl.Schema({"text": pl.String()})


def read(
    files: Sequence[Part],
    *,
    rows: Literal["line", "paragraph", "file"] = "line",
    encoding: str | None = None,
) -> Table:
    """Column `text`: every line that is not blank, or all lines up to a blank one. With a row a file, also `name`."""
    if rows == "file":
        return documents.read(files, encoding=encoding)
    split = _lines if rows == "line" else _paragraphs
    return Table(schema=_SCHEMA, frames=lambda part: _frames(split(part, encoding)))


def _frames(texts: Iterator[list[str]]) -> Iterator[pl.DataFrame]:
    for values in texts:
        text = pl.Series("text", values, dtype=pl.String)
        yield text.filter(text.str.contains(r"\S")).to_frame()


def _lines(part: Part, encoding: str | None) -> Iterator[list[str]]:
    for chunk in _text.chunks(part, encoding):
        yield _unified(chunk.data).split("\n")


def _paragraphs(part: Part, encoding: str | None) -> Iterator[list[str]]:
    gathered: list[str] = []
    for lines in _lines(part, encoding):
        done = []
        for line in lines[:-1]:
            if line.strip():
                gathered.append(line)
            elif gathered:
                done.append("\n".join(gathered))
                gathered = []
        # A chunk ends with its last line feed, and the file perhaps without one.
        gathered += [line for line in lines[-1:] if line.strip()]
        yield done
    yield ["\n".join(gathered)]


def _unified(data: bytes) -> str:
    text = _text.with_line_feeds(data, None).decode()
    return text.replace("\r\n", "\n") if "\r" in text else text
