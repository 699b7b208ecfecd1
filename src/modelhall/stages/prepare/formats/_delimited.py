"""What csv and tsv share: one row a line, fields between separators."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import Source, stack


def read(
    files: Sequence[Source], *, separator: str, quote: str | None, header: bool, columns: list[str] | None
) -> pl.DataFrame:
    """Rows of all files; every row must have as many fields as the first."""
    frames = [_read(file, separator, quote, header, columns) for file in files]
    return stack(frames, [file.name for file in files])


def _read(
    file: Source, separator: str, quote: str | None, header: bool, columns: list[str] | None
) -> pl.DataFrame:
    text = file.text
    lines = _Lines(file.name, text, separator, quote)
    first = lines.first()
    if columns is not None and len(columns) != len(first):
        raise Rejected(f"{file.name} has {len(first)} columns, not {len(columns)}", field="format.columns")
    names = columns or (first if header else [f"column_{number}" for number in range(1, len(first) + 1)])
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Rejected(
            f"{file.name} has two columns {twice!r}; name them by `format: {{columns: …}}`", field="source"
        )
    try:
        frame = pl.read_csv(
            text,
            separator=separator,
            quote_char=quote,
            has_header=False,
            skip_rows=int(header),
            new_columns=names,
            infer_schema_length=None,
        )
    except pl.exceptions.NoDataError:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError as error:
        lines.check_widths()
        raise Rejected(f"{file.name} cannot be read: {error}", field="source") from None
    if frame.width != len(names) or frame[:, -1].null_count():
        # Polars fills a row that is too short; only then is the slow way worth its time.
        lines.check_widths()
    # A blank line is no row.
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


class _Lines:
    """The same rows by the standard library, which knows where each one stands."""

    def __init__(self, name: str, text: bytes, separator: str, quote: str | None) -> None:
        self._name = name
        self._text = text
        self._separator = separator
        self._quote = quote

    def first(self) -> list[str]:
        row: list[str] | None = next(iter(self._reader()), None)
        if not row:
            raise Rejected(f"{self._name} is empty", field="source")
        return row

    def check_widths(self) -> None:
        """Raise Rejected at the first row with more or fewer fields than the first."""
        reader, width = self._reader(), len(self.first())
        for row in reader:
            if row and len(row) != width:
                raise Rejected(
                    f"{self._name} line {reader.line_num}: {len(row)} fields where the first line has {width}",
                    field="source",
                )

    def _reader(self) -> Any:
        """Rows; a csv reader, which counts lines in `line_num`."""
        text = io.TextIOWrapper(io.BytesIO(self._text), encoding="utf-8", newline="")
        csv.field_size_limit(len(self._text) + 1)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE
        return csv.reader(text, delimiter=self._separator, quotechar=self._quote, quoting=quoting)
