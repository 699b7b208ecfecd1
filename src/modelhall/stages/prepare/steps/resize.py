"""Bring pictures to one size.

- resize: {column: image, size: [8, 8]}
"""

from __future__ import annotations

from typing import Literal

import polars as pl
from PIL import Image, ImageOps

from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._pictures import check_size, each


def apply(
    rows: pl.DataFrame,
    *,
    column: str = "image",
    size: list[int],
    how: Literal["fit", "fill", "stretch"] = "fit",
    resampling: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear",
    background: int = 0,
) -> Done:
    """Make every picture `size` [height, width], as PNG.

    By `how`, the whole picture is in it with borders of the grey `background` (fit), or it is filled, and what is
    over cut off on both sides alike (fill); both keep its proportions, and stretch does not.
    """
    wanted = check_size(size)
    method = Image.Resampling[resampling.upper()]

    def change(picture: Image.Image) -> Image.Image:
        if how == "stretch":
            return picture.resize(wanted, method)
        if how == "fill":
            return ImageOps.fit(picture, wanted, method)
        colour = background if picture.mode == "L" else (background,) * 3
        return ImageOps.pad(picture, wanted, method, color=colour)

    return Done(rows=each(rows, column, change))
