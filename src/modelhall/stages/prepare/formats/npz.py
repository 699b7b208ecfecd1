"""NumPy archives: arrays of equal length, a column each. Pickled objects are never loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table, check_same_columns, joined


def read(files: Sequence[Part]) -> Table:
    """A column an array; one of more dimensions has an array in every row."""
    schema = pl.Schema()
    for part in files:
        found = _frame(part).schema
        check_same_columns(part, found.names(), files[0], schema.names() or found.names())
        schema = joined(schema, found, where=part.name)
    return Table(schema=schema, frames=lambda part: _rows(part, schema))


def _rows(part: Part, schema: pl.Schema) -> Iterator[pl.DataFrame]:
    yield _frame(part).cast(schema)


def _frame(part: Part) -> pl.DataFrame:
    with part.lying_unpacked() as path:
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > part.limits.whole_bytes:
                raise Rejected(
                    f"{part.name} holds arrays of {size:,} bytes; at most {part.limits.whole_bytes:,} are read as a "
                    "whole (setting `source_whole_bytes`)",
                    field="source",
                )
            with np.load(path, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except (ValueError, OSError, EOFError, MemoryError, KeyError, zipfile.BadZipFile) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise Rejected(f"{part.name} is not npz that can be read: {error}", field="source") from None
    strange = [name for name, array in found.items() if not isinstance(array, np.ndarray)]
    if strange:
        raise Rejected(f"{part.name} holds {strange[0]!r}, which is no array", field="source")
    lengths = {name: len(array) if array.ndim else None for name, array in found.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        said = ", ".join(f"{name} {array.shape}" for name, array in found.items()) or "none"
        raise Rejected(f"{part.name}: its arrays are not of one length: {said}", field="source")
    return pl.DataFrame([_column(part, name, array) for name, array in found.items()])


def _column(part: Part, name: str, array: np.ndarray) -> pl.Series:
    if array.dtype.kind in "US":
        return pl.Series(name, array.tolist())
    if array.dtype.kind not in "biuf" or 0 in array.shape[1:]:
        raise Rejected(f"{part.name}: {name!r} is an array of {array.dtype} {array.shape}", field="source")
    return pl.Series(name, np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
