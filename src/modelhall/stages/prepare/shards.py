"""Rows on the disk between two parts of a preparation: numbered shards, each there as a whole or not at all.

Where one shard ends depends on the rows and the files they come from alone, so that neither the batches they are
read in nor the number of workers can be seen in what comes out; and a file that changed leaves the shards of others
as they were.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from modelhall.core import files
from modelhall.core.kinds.dataset import SPLITS
from modelhall.stages.prepare.formats import Batch

SHARD_ROWS = 65_536
SHARD_BYTES = 32 * 2**20
_ORDER = ("all", *SPLITS)
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


class Shards:
    """One folder of shards. A shard holds the rows of each split, its marks, and notes about them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """Those that are whole, in order."""
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdigit())

    def write(
        self, number: int, rows: Mapping[str, pl.DataFrame], marks: Mapping[str, pl.DataFrame], notes: Any
    ) -> None:
        """Write one shard durably, all of it at once by a rename."""
        unfinished = self.unfinished(number)
        for sort, frames in (("rows", rows), ("marks", marks)):
            for split, frame in frames.items():
                write_frame(frame, unfinished / f"{sort}-{split}.arrow")
        self.keep(number, notes)

    def unfinished(self, number: int) -> Path:
        """An empty folder for files of a shard that is not there yet."""
        folder = self._folder / f".{number:06d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def keep(self, number: int, notes: Any) -> None:
        """Make the unfinished folder the shard, durably."""
        unfinished = self._folder / f".{number:06d}"
        files.write_json(unfinished / "notes.json", notes)
        os.rename(unfinished, self.path(number))
        files.sync_folder(self._folder)

    def splits(self, number: int) -> list[str]:
        return [split for split in _ORDER if self._frames(number, "rows", split).exists()]

    def rows(self, number: int, split: str) -> pl.DataFrame:
        return pl.read_ipc(self._frames(number, "rows", split))

    def height(self, number: int, split: str) -> int:
        """How many rows of the split the shard has."""
        return int(self.scan(number, "rows", split).select(pl.len()).collect().item())

    def scan(self, number: int, sort: str, split: str) -> pl.LazyFrame:
        return pl.scan_ipc(self._frames(number, sort, split))

    def notes(self, number: int) -> Any:
        return json.loads((self.path(number) / "notes.json").read_bytes())

    def path(self, number: int) -> Path:
        """The folder of a shard."""
        return self._folder / f"{number:06d}"

    def _frames(self, number: int, sort: str, split: str) -> Path:
        return self.path(number) / f"{sort}-{split}.arrow"

    def finish(self) -> None:
        """Say that no shard is missing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        files.write_json(self._folder / "finished.json", self.numbers())

    def is_finished(self) -> bool:
        return (self._folder / "finished.json").exists()

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def cut(batches: Iterable[Batch]) -> Iterator[pl.DataFrame]:
    """The rows of `batches`, cut anew: a shard ends where it is SHARD_ROWS long or SHARD_BYTES large, or with a file
    once it is half of that."""
    held: list[pl.DataFrame] = []
    rows, size = 0, 0
    for batch, ends in batches:
        sizes = np.cumsum(_sizes(batch))
        start = 0
        while start < batch.height:
            before = int(sizes[start - 1]) if start else 0
            stop, is_whole = _end(sizes + (size - before), ends, start, start - rows)
            held.append(batch.slice(start, stop - start))
            rows, size = rows + stop - start, size + int(sizes[stop - 1]) - before
            start = stop
            if is_whole:
                yield pl.concat(held, rechunk=True)
                held, rows, size = [], 0, 0
    if held:
        yield pl.concat(held, rechunk=True)


def _end(sizes: np.ndarray, ends: Sequence[int], start: int, begin: int) -> tuple[int, bool]:
    """After which row of a batch the shard ends or the batch does, and whether the shard does. It began with the
    batch's row `begin`, which may lie before the batch, and is `sizes` large after each of them."""

    def reached(share: float) -> int:
        enough = int(np.searchsorted(sizes, SHARD_BYTES * share)) + 1
        return max(min(begin + int(SHARD_ROWS * share), enough), start + 1)

    full, half = reached(1), reached(0.5)
    place = bisect.bisect_left(ends, half)
    with_file = ends[place] if place < len(ends) else full
    stop = min(with_file, full)
    return (stop, True) if stop <= len(sizes) else (len(sizes), False)


def _sizes(rows: pl.DataFrame) -> np.ndarray:
    """About how many bytes each row takes; a function of the row alone."""
    found = np.full(rows.height, 8 * rows.width, np.int64)
    for name, kind in rows.schema.items():
        if kind == pl.String:
            found += rows[name].str.len_bytes().fill_null(0).cast(pl.Int64).to_numpy()
        elif kind == pl.Binary:
            found += rows[name].bin.size().fill_null(0).cast(pl.Int64).to_numpy()
        elif isinstance(kind, pl.List):
            found += rows[name].list.len().fill_null(0).cast(pl.Int64).to_numpy() * 8
    return found


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Write rows durably as uncompressed Arrow, which is mapped into memory and not read."""
    with numbered():
        frame.write_ipc(path, compression="uncompressed")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def numbered() -> Iterator[None]:
    """Give the errors of polars that come from the system the number that stands in their words alone, so that a disk
    without room is known for what it is."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        told = _SYSTEM_ERROR.search(str(error))
        if told is None:
            raise
        raise OSError(int(told[1]), str(error)) from None
