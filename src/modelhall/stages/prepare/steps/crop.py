"""Cut pictures: their middle, or one part of each.

- crop: {column: image, size: [2, 2]}
"""

from __future__ import annotations

import polars as pl
from PIL import Image

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._pictures import check_size, each


def apply(
    rows: pl.DataFrame, *, column: str = "image", size: list[int] | None = None, box: list[int] | None = None
) -> Done:
    """Keep the middle of each picture, of `size` [height, width], or the `box` [top, left, bottom, right], in pixels
    from above and from the left. A picture is never made larger: a side that is shorter than asked for stays as it
    is, and one that has nothing within the box stays whole. Pictures become PNG."""
    if (size is None) == (box is None):
        raise Rejected("give either the size of the middle or a box", field="size")
    wanted = check_size(size) if size is not None else None
    if box is not None and (len(box) != 4 or not (0 <= box[0] < box[2] and 0 <= box[1] < box[3])):
        raise Rejected(f"a box is [top, left, bottom, right], not {box}", field="box")

    def change(picture: Image.Image) -> Image.Image:
        return picture.crop(_middle(picture.size, wanted) if wanted else _within(picture.size, box or []))

    return Done(rows=each(rows, column, change))


def _middle(there: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    width, height = (min(*pair) for pair in zip(there, wanted, strict=True))
    left, top = (there[0] - width) // 2, (there[1] - height) // 2
    return left, top, left + width, top + height


def _within(there: tuple[int, int], box: list[int]) -> tuple[int, int, int, int]:
    top, left, bottom, right = box
    if left >= there[0] or top >= there[1]:
        return 0, 0, *there
    return left, top, min(right, there[0]), min(bottom, there[1])
