"""Columns of encoded pictures: unpacked, changed one by one, and packed again."""

from __future__ import annotations

import io
from collections.abc import Callable

import polars as pl
from PIL import Image, ImageOps

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import check_columns

GREY = ("1", "L", "LA")
MAX_SIDE = 8192


def picture_column(rows: pl.DataFrame, column: str) -> None:
    """Raise Rejected unless there is such a column, and it may hold pictures."""
    check_columns(rows, [column], "column")
    if rows.schema[column] not in (pl.Binary, pl.Null):
        raise Rejected(f"column {column!r} holds {rows.schema[column]}, not pictures", field="column")


def each(rows: pl.DataFrame, column: str, change: Callable[[Image.Image], Image.Image]) -> pl.DataFrame:
    """Every picture of `column` changed, as PNG; what is missing stays so. Raises Rejected for what is none."""
    picture_column(rows, column)
    made = [
        None if data is None else packed(change(unpacked(data, f"{column} of row {place}")), "PNG")
        for place, data in enumerate(rows[column])
    ]
    return rows.with_columns(pl.Series(column, made, dtype=pl.Binary))


def unpacked(data: bytes, name: str) -> Image.Image:
    """A grey or RGB picture, upright: what is packed again does not tell how it was held."""
    # The tasks bring torch, seconds and hundreds of megabytes that data without pictures has no use for.
    from modelhall.tasks._pictures import open_picture

    picture = open_picture(data, name, field="column")
    try:
        upright = ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):
        upright = picture  # what a camera wrote beside the picture is damaged, the picture is not
    plain = upright.convert("L" if picture.mode in GREY else "RGB")
    plain.info = {}
    return plain


def packed(picture: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=form)
    return buffer.getvalue()


def check_size(size: list[int]) -> tuple[int, int]:
    """[height, width] as Pillow has it: width, height."""
    if len(size) != 2 or not 1 <= min(size) <= max(size) <= MAX_SIDE:
        raise Rejected(f"a size is [height, width], of 1 to {MAX_SIDE} pixels, not {size}", field="size")
    height, width = size
    return width, height
