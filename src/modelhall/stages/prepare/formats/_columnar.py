"""What parquet and Arrow share: columns with types of their own, read piece by piece through a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats._source import Part
from modelhall.stages.prepare.formats._table import Table, check_same_columns, joined, settled

_ROWS = 65_536


def read(files: Sequence[Part], scan: Callable[[Path], pl.LazyFrame], sort: str) -> Table:
    """All columns of all files, which must have the same and in types that go together."""
    schema = pl.Schema()
    for part in files:
        with part.lying_unpacked() as path, _refusing(part, sort):
            found = scan(path).select(_plain(scan(path).collect_schema())).collect_schema()
        if part is not files[0]:
            check_same_columns(part, found.names(), files[0], schema.names())
        schema = joined(schema, found, where=part.name)
    agreed = settled(schema)
    return Table(schema=agreed, frames=lambda part: _frames(part, scan, sort, agreed))


def _frames(
    part: Part, scan: Callable[[Path], pl.LazyFrame], sort: str, schema: pl.Schema
) -> Iterator[pl.DataFrame]:
    with part.lying_unpacked() as path, _refusing(part, sort):
        rows = scan(path).select(_plain(scan(path).collect_schema())).cast(schema)
        yield from rows.collect_batches(chunk_size=_ROWS, maintain_order=True)


@contextmanager
def _refusing(part: Part, sort: str) -> Iterator[None]:
    """Say of a file that cannot be read which it is."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Rejected(f"{part.name} is not {sort} that can be read: {what}", field="source") from None


def _plain(schema: pl.Schema) -> list[pl.Expr]:
    """Every column, those of {bytes, path} by their bytes."""
    return [
        pl.col(name).struct.field("bytes").alias(name) if _is_media(kind) else pl.col(name)
        for name, kind in schema.items()
    ]


def _is_media(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Struct) and {field.name for field in kind.fields} == {"bytes", "path"}
