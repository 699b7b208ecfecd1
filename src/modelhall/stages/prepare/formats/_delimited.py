"""What csv and tsv share: one row a line, fields between separators.

polars parses; what it cannot, the standard library looks at again, which knows where each row stands.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import _text, _types
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table, check_same_columns


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the rows are written."""

    separator: str
    quote: str | None
    header: bool
    columns: list[str] | None
    encoding: str | None
    trim: bool


def read(files: Sequence[Part], dialect: Dialect, types: dict[str, str]) -> Table:
    """Rows of all files; every row has as many fields as the first, and a column one type over all of them."""
    names = _names(files[0], dialect)
    for part in files[1:]:
        check_same_columns(part, _names(part, dialect), files[0], names)
    said = _types.named(types, names)
    kinds = dict(said) if len(said) == len(names) else _found_out(files, dialect, names, said)
    return Table(schema=pl.Schema(kinds), frames=lambda part: _frames(part, dialect, names, kinds))


def _names(part: Part, dialect: Dialect) -> list[str]:
    """The names of the columns: as said, from the first line, or by number."""
    first = next((_first_row(part, chunk, dialect) for chunk in _chunks(part, dialect)), None)
    if not first:
        raise Rejected(f"{part.name} is empty", field="source")
    given = dialect.columns
    if given is not None and len(given) != len(first):
        raise Rejected(f"{part.name} has {len(first)} columns, not {len(given)}", field="format.columns")
    names = given or (first if dialect.header else [f"column_{n}" for n in range(1, len(first) + 1)])
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Rejected(
            f"{part.name} has two columns {twice!r}; name them by `format: {{columns: …}}`", field="source"
        )
    return [name.strip() for name in names] if dialect.trim else list(names)


def _found_out(
    files: Sequence[Part], dialect: Dialect, names: list[str], said: dict[str, _types.Kind]
) -> dict[str, _types.Kind]:
    """The types that all values tell, for the columns of which nothing is said."""
    kinds: dict[str, _types.Kind] = dict.fromkeys(names, pl.Null) | said
    for part in files:
        for _, frame in _written(part, dialect, names):
            for name in names:
                if name not in said and kinds[name] != pl.String:
                    kinds[name] = _types.wider(kinds[name], _types.told_by(frame[name]))
    return {name: _types.settled(kind) for name, kind in kinds.items()}


def _frames(
    part: Part, dialect: Dialect, names: list[str], kinds: dict[str, _types.Kind]
) -> Iterator[pl.DataFrame]:
    """The rows with their types, less those that hold nothing at all."""
    for chunk, frame in _written(part, dialect, names):
        typed = [_types.as_type(frame[name], kind) for name, kind in kinds.items()]
        for written, value in zip(frame, typed, strict=True):
            # What is empty is missing; all else has a value.
            if value.null_count() and (lost := _first_lost(written, value)) is not None:
                line = _Rows(part.name, chunk, dialect).line_of(lost)
                raise Rejected(
                    f"{part.name} line {line}: {written[lost]!r} in column {written.name!r} is not {value.dtype}",
                    field="format.types",
                )
        yield pl.DataFrame(typed).filter(~pl.all_horizontal(pl.all().is_null()))


def _first_lost(written: pl.Series, value: pl.Series) -> int | None:
    """The first row whose value did not fit its type."""
    return (value.is_null() & written.is_not_null() & (written != "")).arg_true().first()  # type: ignore[return-value]


def _written(part: Part, dialect: Dialect, names: list[str]) -> Iterator[tuple[_text.Chunk, pl.DataFrame]]:
    """The fields as they are written, chunk by chunk, a null for each that is empty."""
    skip = dialect.header
    for chunk in _chunks(part, dialect):
        rows = _Rows(part.name, chunk, dialect)
        if skip:
            chunk = rows.without_first()
            rows = _Rows(part.name, chunk, dialect)
            skip = False
        if chunk.data:
            yield chunk, _parsed(rows, chunk, dialect, names)


def _chunks(part: Part, dialect: Dialect) -> Iterator[_text.Chunk]:
    for chunk in _text.chunks(part, dialect.encoding, dialect.quote):
        yield chunk._replace(data=_text.with_line_feeds(chunk.data, dialect.quote))


def _parsed(rows: _Rows, chunk: _text.Chunk, dialect: Dialect, names: list[str]) -> pl.DataFrame:
    # Under a line of our own, since polars takes the number of columns from the first.
    header = dialect.separator.join(f"c{number}" for number in range(len(names))).encode()
    try:
        frame = pl.read_csv(
            header + b"\n" + chunk.data,
            separator=dialect.separator,
            quote_char=dialect.quote,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError as error:
        raise rows.problem(len(names), error) from None
    if frame[:, -1].null_count():
        # Polars fills up a row that is too short.
        rows.check_widths(len(names), frame.height)
    frame.columns = names
    return frame.with_columns(pl.all().str.strip_chars()) if dialect.trim else frame


def _first_row(part: Part, chunk: _text.Chunk, dialect: Dialect) -> list[str] | None:
    return _Rows(part.name, chunk, dialect).first()


class _Rows:
    """The rows of a chunk by the standard library."""

    def __init__(self, name: str, chunk: _text.Chunk, dialect: Dialect) -> None:
        self._name = name
        self._chunk = chunk
        self._dialect = dialect

    def first(self) -> list[str] | None:
        """The fields of the first row; None when there is no row."""
        return next((row for row in self._reader() if row), None)

    def without_first(self) -> _text.Chunk:
        """The chunk from its second row on."""
        reader = self._reader()
        next((row for row in reader if row), None)
        lines = reader.line_num
        place = 0
        for _ in range(lines):
            place = self._chunk.data.find(b"\n", place) + 1 or len(self._chunk.data)
        return _text.Chunk(self._chunk.first_line + lines, self._chunk.data[place:])

    def line_of(self, number: int) -> int:
        """The line at which row `number` begins, counted from 0; a blank line is a row to polars."""
        reader, line = self._reader(), 0
        for _ in range(number + 1):
            line = reader.line_num
            next(reader)
        return self._chunk.first_line + line

    def check_widths(self, width: int, height: int) -> None:
        """Raise Rejected at the first row that has not `width` fields; `height` is how many rows there are."""
        if width == 1 or self._has_separators(width, height):
            return
        reader = self._reader()
        for row in reader:
            if row and len(row) != width:
                raise Rejected(
                    f"{self._name} line {self._chunk.first_line + reader.line_num - 1}: {len(row)} fields where the "
                    f"first line has {width}",
                    field="source",
                )

    def problem(self, width: int, error: Exception) -> Rejected:
        """What is wrong with rows that polars cannot parse."""
        try:
            self.check_widths(width, -1)
        except Rejected as found:
            return found
        quote = re.escape((self._dialect.quote or '"').encode())
        separator = re.escape(self._dialect.separator.encode())
        stray = re.search(
            rb"[^\n%b%b]%b[^\n%b%b]" % (separator, quote, quote, separator, quote), self._chunk.data
        )
        line = self._chunk.first_line + (self._chunk.data.count(b"\n", 0, stray.start()) if stray else 0)
        return Rejected(
            f"{self._name} line {line}: cannot be read from here on ({str(error).splitlines()[0]}); a quotation mark "
            "inside a field is doubled, or is none: `format: {quote: ''}`",
            field="source",
        )

    def _has_separators(self, width: int, height: int) -> bool:
        """Whether there are as many separators as full rows have; none has more, or polars would have refused."""
        data = self._chunk.data
        if self._dialect.quote:
            mark = re.escape(self._dialect.quote.encode())
            data = re.sub(mark + b"[^" + mark + b"]*" + mark, b"q", data)
        blank = len(re.findall(rb"^\r?$", data.rstrip(b"\n"), re.MULTILINE))
        return data.count(self._dialect.separator.encode()) == (height - blank) * (width - 1)

    def _reader(self) -> Any:
        """Rows; a csv reader, which counts lines in `line_num`."""
        text = io.TextIOWrapper(io.BytesIO(self._chunk.data), encoding="utf-8", newline="")
        csv.field_size_limit(len(self._chunk.data) + 1)
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self._dialect.quote else csv.QUOTE_NONE
        return csv.reader(
            text, delimiter=self._dialect.separator, quotechar=self._dialect.quote or None, quoting=quoting
        )
