"""Make pictures of columns of numbers, one column a pixel.

- pixels: {columns: pixel_0..pixel_3, shape: [2, 2], white: 16}
"""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, check_columns, number_columns


def apply(rows: pl.DataFrame, *, columns: str | list[str], shape: list[int], white: float = 255.0) -> Done:
    """Add `image`, a grey PNG of `shape` [height, width], and drop the columns it was made of.

    `columns` is a list, row by row, or `first..last` in the order of the data; 0 is black, `white` is white.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise Rejected(f"a shape is [height, width], not {shape}", field="shape")
    if white <= 0:
        raise Rejected(f"white must be above 0, not {white:g}", field="white")
    names = _columns(rows, columns)
    if len(names) != shape[0] * shape[1]:
        raise Rejected(
            f"{len(names)} columns do not fill a picture of {shape[0]}×{shape[1]}", field="columns"
        )
    return Done(rows=_draw(rows, names, shape, white))


def _columns(rows: pl.DataFrame, columns: str | list[str]) -> list[str]:
    """The names meant, all of them of numbers."""
    order = rows.columns
    first, dots, last = (columns if isinstance(columns, str) else "").partition("..")
    if isinstance(columns, str) and dots:
        check_columns(rows, [first, last])
        return number_columns(rows, order[order.index(first) : order.index(last) + 1])
    return number_columns(rows, [columns] if isinstance(columns, str) else columns)


def _draw(frame: pl.DataFrame, names: list[str], shape: list[int], white: float) -> pl.DataFrame:
    values = frame.select(pl.col(names).cast(pl.Float64).fill_null(0).fill_nan(0)).to_numpy()
    pixels = np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8).reshape(-1, *shape)
    pictures = pl.Series("image", [_png(picture) for picture in pixels], dtype=pl.Binary)
    return frame.drop(names).with_columns(pictures)


def _png(pixels: np.ndarray) -> bytes:
    """`pixels`, uint8 (height, width), as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
