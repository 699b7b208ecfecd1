"""Show a model every picture a little otherwise each time it learns from it. Prepared rows, validation, test and
requests stay as they are.

- augment-pictures: {column: image, rotate: 10, flip: [horizontal], brightness: 0.2, noise: 0.02, cutout: 0.3}
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from PIL import Image, ImageEnhance, ImageOps

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done
from modelhall.stages.prepare.steps._pictures import packed, picture_column, unpacked

REQUESTS = False
_COLOURS = {
    "brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color,
}  # fmt: skip


def apply(
    rows: pl.DataFrame,
    *,
    column: str = "image",
    scale: float = 0.0,
    shift: float = 0.0,
    crop: float = 0.0,
    cutout: float = 0.0,
    noise: float = 0.0,
    mixup: float = 0.0,
) -> Done:
    """The rows as they are, if the column may hold pictures and the options can be met."""
    picture_column(rows, column)
    for option, bound in {"scale": scale, "shift": shift, "crop": crop, "cutout": cutout}.items():
        if not 0 <= bound < 1:
            raise Rejected(f"a share is from 0 to less than 1, not {bound:g}", field=option)
    if min(noise, mixup) < 0:
        field = "noise" if noise < 0 else "mixup"
        raise Rejected(f"{field} is 0 or more, not {min(noise, mixup):g}", field=field)
    return Done(rows=rows)


def vary(
    rows: pl.DataFrame,
    randoms: Sequence[np.random.Generator],
    *,
    column: str = "image",
    rotate: float = 0.0,
    flip: list[Literal["horizontal", "vertical"]] | None = None,
    scale: float = 0.0,
    shift: float = 0.0,
    crop: float = 0.0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    noise: float = 0.0,
    cutout: float = 0.0,
) -> pl.DataFrame:
    """Each picture changed at random, evenly up to the bounds given: turned by `rotate` degrees to either side,
    `flip`ped every other time, larger or smaller by the share `scale`, moved by a share of its sides (`shift`), up to
    the share `crop` of its sides cut away and the rest stretched again, its colours stronger or weaker by a share,
    normal `noise` of up to this deviation (1 is from black to white), and a square of this share of the shorter side
    blackened (`cutout`, DeVries & Taylor 2017). `mixup` mixes pictures and labels of a batch (Zhang et al. 2018).
    """
    colours = {"brightness": brightness, "contrast": contrast, "saturation": saturation}

    def changed(picture: Image.Image, random: np.random.Generator) -> Image.Image:
        # Every number is drawn whatever the options are, so that one of them does not change what another does.
        angle, zoom, right, down, *of_crop = random.uniform(-1, 1, 7)
        flipped, of_colours = random.random(2) < 0.5, random.uniform(-1, 1, 3)
        of_noise, *where = random.random(3)
        picture = _flipped(picture, flip or [], flipped)
        picture = _moved(picture, angle * rotate, 1 + zoom * scale, right * shift, down * shift)
        picture = _cropped(picture, crop, of_crop)
        for (name, bound), drawn in zip(colours.items(), of_colours, strict=True):
            if bound:
                picture = _COLOURS[name](picture).enhance(max(0.0, 1 + drawn * bound))
        return _blackened(_noisy(picture, of_noise * noise, random), cutout, where)

    made = [
        None if data is None else packed(changed(unpacked(data, f"{column} of row {place}"), random), "BMP")
        for place, (data, random) in enumerate(zip(rows[column], randoms, strict=True))
    ]
    return rows.with_columns(pl.Series(column, made, dtype=pl.Binary))


def mix(random: np.random.Generator, count: int, *, mixup: float = 0.0) -> tuple[float, np.ndarray] | None:
    """The share every row of a batch keeps, Beta(`mixup`, `mixup`), and the row it is mixed with."""
    return (float(random.beta(mixup, mixup)), random.permutation(count)) if mixup else None


def _flipped(picture: Image.Image, ways: Sequence[str], drawn: np.ndarray) -> Image.Image:
    for way, turn, does in zip(
        ("horizontal", "vertical"), (ImageOps.mirror, ImageOps.flip), drawn, strict=True
    ):
        picture = turn(picture) if does and way in ways else picture
    return picture


def _moved(picture: Image.Image, degrees: float, zoom: float, right: float, down: float) -> Image.Image:
    """Turned and resized about its middle, and moved; what comes from outside is black."""
    if not degrees and zoom == 1 and not right and not down:
        return picture
    cosine, sine = (of(math.radians(degrees)) / zoom for of in (math.cos, math.sin))
    x, y = picture.width / 2, picture.height / 2
    to_x, to_y = x + right * picture.width, y + down * picture.height
    # Pillow asks where each pixel comes from.
    matrix = (
        cosine, sine, x - cosine * to_x - sine * to_y,
        -sine, cosine, y + sine * to_x - cosine * to_y,
    )  # fmt: skip
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _cropped(picture: Image.Image, most: float, drawn: Sequence[float]) -> Image.Image:
    if not most:
        return picture
    share, x, y = ((value + 1) / 2 for value in drawn)
    kept = 1 - share * most
    left, top = x * (1 - kept) * picture.width, y * (1 - kept) * picture.height
    box = (left, top, left + kept * picture.width, top + kept * picture.height)
    return picture.resize(picture.size, Image.Resampling.BILINEAR, box=box)


def _noisy(picture: Image.Image, deviation: float, random: np.random.Generator) -> Image.Image:
    if not deviation:
        return picture
    pixels = np.asarray(picture)
    noise = random.normal(0, deviation * 255, pixels.shape)
    return Image.fromarray(np.rint(np.clip(pixels + noise, 0, 255)).astype(np.uint8))


def _blackened(picture: Image.Image, share: float, where: Sequence[float]) -> Image.Image:
    side = round(share * min(picture.size))
    if not side:
        return picture
    # Its middle is anywhere in the picture, so a part of it may be outside.
    left, top = (round(at * length - side / 2) for at, length in zip(where, picture.size, strict=True))
    box = (max(0, left), max(0, top), min(picture.width, left + side), min(picture.height, top + side))
    picture = picture.copy()
    if box[0] < box[2] and box[1] < box[3]:
        picture.paste(0, box)
    return picture
