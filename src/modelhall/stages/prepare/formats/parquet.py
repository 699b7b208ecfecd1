"""Parquet. Images as Hugging Face stores them, {bytes, path}, become plain bytes."""

from __future__ import annotations

import io

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import Source, stack


def read(files: list[Source]) -> pl.DataFrame:
    """All columns of all files."""
    return stack([_read(file) for file in files], [file.name for file in files])


def _read(file: Source) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(file.stored))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Rejected(f"{file.name} is not parquet that can be read: {error}", field="source") from None
    media = [name for name, kind in frame.schema.items() if _is_media(kind)]
    return frame.with_columns(pl.col(name).struct.field("bytes").alias(name) for name in media)


def _is_media(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Struct) and {field.name for field in kind.fields} == {"bytes", "path"}
