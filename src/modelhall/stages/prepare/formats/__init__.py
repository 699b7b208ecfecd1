"""How source files become rows: one file a format, with one function

    read(files: Sequence[Part], *, options…) -> Table

whose options are among the fields of `format`. A table has one schema for all files and reads their rows as a
stream, in as much memory as a few batches take. A file that cannot be read is Rejected by its name and, where there
are lines, by its line. How files are found is left to the sources, damage inside a row (a picture that cannot be
unpacked) to the stage.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, cast

import polars as pl

from modelhall.core import file_formats, plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.dataset import Format
from modelhall.stages.prepare.formats import _archive
from modelhall.stages.prepare.formats._source import Part, Source
from modelhall.stages.prepare.formats._table import Table

__all__ = ["BATCH_BYTES", "BATCH_ROWS", "Batch", "Source", "batches", "batches_by_split"]

BATCH_ROWS = 65_536
BATCH_BYTES = 64 * 2**20


class Batch(NamedTuple):
    """Some rows, one after the other as they are in the files."""

    rows: pl.DataFrame
    ends: Sequence[int]
    """After how many of them a file ends."""


def batches(sources: Sequence[Source], form: Format) -> Iterator[pl.DataFrame]:
    """All rows of `sources`, in order, in batches of one schema; raises Rejected when there is no row."""
    for _, batch in batches_by_split({"all": sources}, form):
        yield batch.rows


def batches_by_split(splits: Mapping[str, Sequence[Source]], form: Format) -> Iterator[tuple[str, Batch]]:
    """The same for the sources of several splits, one after the other: a column has one type in all of them."""
    sources = [source for of_split in splits.values() for source in of_split]
    checks = [source.begin() for source in sources]
    # Archives are unpacked here; the launcher removes what a killed attempt leaves.
    with tempfile.TemporaryDirectory(prefix="unpacked-") as folder:
        parts = {
            split: _archive.parts(of_split, form.members, Path(folder) / split)
            for split, of_split in splits.items()
        }
        table = _table(list(parts.values()), form)
        for split, files in parts.items():
            rows = 0
            with closing(_batched(_pieces(table, files))) as gathered:
                for batch in gathered:
                    rows += batch.rows.height
                    yield split, batch
            if not rows:
                raise Rejected(f"{files[0].name} holds no rows", field="source")
    for check_unchanged in checks:
        check_unchanged()


def _table(splits: Sequence[Sequence[Part]], form: Format) -> Table:
    files = [part for parts in splits for part in parts]
    name = form.type or _guess(files)
    plugins.check_options("format", name, "read", form.options, field="format")
    return cast(Table, plugins.load("format", name, field="format.type").read(files, **form.options))


def _pieces(table: Table, files: Sequence[Part]) -> Iterator[pl.DataFrame | None]:
    """The rows of the files in pieces of which none is larger than a batch may be; None where a file ends."""
    for part in files:
        for frame in table.frames(part):
            yield from _slices(frame)
        yield None


def _batched(pieces: Iterator[pl.DataFrame | None]) -> Generator[Batch, None, None]:
    """The rows again in batches of BATCH_ROWS, or fewer where those would be more than about BATCH_BYTES."""
    gathered: list[pl.DataFrame] = []
    ends: list[int] = []
    rows = size = 0
    for piece in pieces:
        if piece is None:
            ends.append(rows)
            continue
        if gathered and (rows + piece.height > BATCH_ROWS or size >= BATCH_BYTES):
            yield Batch(pl.concat(gathered), ends)
            gathered, ends, rows, size = [], [], 0, 0
        if piece.height:
            gathered.append(piece)
            rows += piece.height
            size += int(piece.estimated_size())
    if gathered:
        yield Batch(pl.concat(gathered), ends)


def _slices(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in pieces of which none is larger than a batch may be."""
    pieces = max(-(-frame.height // BATCH_ROWS), -(-int(frame.estimated_size()) // BATCH_BYTES), 1)
    yield from frame.iter_slices(max(-(-frame.height // pieces), 1))


def _guess(files: Sequence[Part]) -> str:
    """The one format all names tell."""
    told = {file_formats.told_by(part.bare_name) for part in files}
    if len(told) != 1 or None in told:
        endings = sorted({Path(part.bare_name).suffix or part.bare_name for part in files})
        raise Rejected(
            f"the names of the files ({', '.join(endings[:5])}) do not tell one format; say which, such as "
            "`format: {type: csv}`, or choose among them, such as `format: {members: '*.csv'}`",
            field="format.type",
        )
    return str(told.pop())
