"""Arrow files: IPC and feather, and the stream form that Hugging Face keeps data sets in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import _columnar
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table

_MAGIC = b"ARROW1"


def read(files: Sequence[Part]) -> Table:
    """All columns of all files."""
    for part in files:
        _check_size(part)
    return _columnar.read(files, _scanned, "arrow")


def _scanned(path: Path) -> pl.LazyFrame:
    with path.open("rb") as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
    return pl.scan_ipc(path) if is_file else pl.read_ipc_stream(path).lazy()


def _check_size(part: Part) -> None:
    """Raise Rejected for a stream too large to be held: it has no table of contents to read pieces by."""
    with part.path.open("rb") as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
    if not is_file and part.path.stat().st_size > part.limits.whole_bytes:
        raise Rejected(
            f"{part.name} is an Arrow stream of {part.path.stat().st_size:,} bytes; at most "
            f"{part.limits.whole_bytes:,} are read as a whole (setting `source_whole_bytes`): write an Arrow "
            "file or parquet instead",
            field="source",
        )
