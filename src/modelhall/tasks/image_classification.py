"""Image classification: which of the classes a picture shows.

A row is an encoded picture (PNG, JPEG and what else Pillow reads) and its label. Pictures become grey if all of the
training split are, and take its commonest size, at most `MAX_SIDE`; with a base they become what it was trained on.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field, ValidationError

from modelhall.core import stored_json
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import BASE64, Batch, Examples, Tensor, read_fitted, write_fitted
from modelhall.tasks._classes import MAX_LABELS, Classes, labels_of
from modelhall.tasks._pictures import open_picture

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"image": "image", "label": "label"}
LOSSES = ("cross-entropy", "binary-cross-entropy")
PREDICTS = ("classes",)
COMPRESSES = True
TAKES_BASE = True
MAX_SIDE = 224
_FIELD = "columns.image"
_Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


def fit(
    splits: Mapping[str, pl.DataFrame],
    columns: Mapping[str, str],
    *,
    length: int | None,
    base: Path | None = None,
) -> ImageClassification:
    """Learn labels and, without a base, size, colour and the mean and spread of each channel from the training
    split."""
    train = splits["train"]
    labels = labels_of(train[columns["label"]])
    seen = _seen(train[columns["image"]]) if base is None else _seen_by(base)
    task = ImageClassification(columns=columns, labels=labels, **seen)
    task.check(splits, columns["label"])
    return task


def load(folder: Path) -> ImageClassification:
    """What `save` wrote."""
    return ImageClassification(**dict(read_fitted(folder, _Fitted)))


def _seen(column: pl.Series) -> dict[str, Any]:
    """What pictures are made, by those of the training split."""
    pictures = [
        open_picture(data, f"row {row} of train", field=_FIELD) for row, data in enumerate(_bytes(column))
    ]
    (width, height), _ = Counter(picture.size for picture in pictures).most_common(1)[0]
    shrink = min(1.0, MAX_SIDE / max(width, height))
    channels = 1 if all(picture.mode in ("1", "L", "LA") for picture in pictures) else 3
    size = (channels, max(1, round(height * shrink)), max(1, round(width * shrink)))
    pixels = np.stack([_pixels(picture, size) for picture in pictures]) / np.float32(255)
    return {
        "size": size,
        "mean": [float(value) for value in pixels.mean((0, 2, 3), dtype=np.float64)],
        "spread": [max(float(value), 1e-3) for value in pixels.std((0, 2, 3), dtype=np.float64)],
    }


def _seen_by(base: Path) -> dict[str, Any]:
    """What pictures are made, as a base has them: a model of this hall by its task.json, any other by its own files,
    where half of the range is the mean and the spread if nothing is said."""
    if (base / "task.json").exists():
        fitted = read_fitted(base, _Fitted)
        return {"size": fitted.size, "mean": fitted.mean, "spread": fitted.spread}
    config = stored_json.read(base / "config.json")
    path = base / "preprocessor_config.json"
    told = stored_json.read(path) if path.exists() else {}
    channels, side = config.get("num_channels", 3), config.get("image_size", MAX_SIDE)
    mean, spread = (told.get(f"image_{part}", [0.5] * channels) for part in ("mean", "std"))
    sizes = side if isinstance(side, list) else [side, side]
    try:
        form = _Seen(size=(channels, *sizes), mean=mean, spread=spread)
    except (ValidationError, TypeError) as error:
        raise Rejected(
            f"the base does not say how pictures are read: {' '.join(str(error).split())}", field="base"
        ) from None
    return form.model_dump()


class _Seen(Frozen):
    """What pictures are made before a network sees them."""

    size: tuple[Literal[1, 3], _Side, _Side]
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    spread: tuple[float, ...] = Field(min_length=1, max_length=3)


class _Fitted(_Seen):
    """task.json."""

    columns: dict[str, str]
    labels: tuple[str, ...] = Field(min_length=2, max_length=MAX_LABELS)


class ImageClassification(Classes):
    """Fitted. An example's input is its pixels, uint8 (channels, height, width)."""

    inputs = (Tensor(name="image", datatype="BYTES", shape=(-1,), parameters=BASE64),)

    def __init__(
        self,
        *,
        columns: Mapping[str, str],
        labels: Sequence[str],
        size: tuple[int, int, int],
        mean: Sequence[float],
        spread: Sequence[float],
    ) -> None:
        super().__init__(labels)
        self._fitted = {
            "columns": dict(columns),
            "labels": list(labels),
            "size": size,
            "mean": mean,
            "spread": spread,
        }
        self.columns = columns
        self._size = size
        self._mean = torch.tensor(mean).view(-1, 1, 1)
        self._spread = torch.tensor(spread).view(-1, 1, 1)
        channels, height, width = size
        self.shape = Shape(
            head="image-classification",
            sizes={"channels": channels, "height": height, "width": width},
            labels=self.labels,
        )

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        pictures = enumerate(_bytes(frame[self.columns["image"]]))
        inputs = [
            _pixels(open_picture(data, f"row {row} of {split}", field=_FIELD), self._size)
            for row, data in pictures
        ]
        return Examples(inputs=inputs, truth=self.truth(split, frame[self.columns["label"]]))

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """Pictures in base64."""
        pixels = []
        for row, text in enumerate(inputs["image"].data):
            try:
                data = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise Rejected(f"image {row} is not base64", field="inputs.image") from None
            pixels.append(_pixels(open_picture(data, f"image {row}", field="inputs.image"), self._size))
        return Examples(inputs=pixels)

    def sample(self) -> dict[str, Tensor]:
        buffer = io.BytesIO()
        Image.new("L", (self._size[2], self._size[1])).save(buffer, format="PNG")
        data = [base64.b64encode(buffer.getvalue()).decode()]
        return {"image": Tensor(name="image", datatype="BYTES", shape=(1,), data=data)}

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`pixel_values`, float32 (rows, channels, height, width), of mean 0 and spread 1 over the training split."""
        pixels = torch.from_numpy(np.stack([examples.inputs[row] for row in rows]))
        batch = {"pixel_values": (pixels.float() / 255 - self._mean) / self._spread}
        if examples.truth is not None:
            batch["labels"] = torch.tensor([examples.truth[row] for row in rows])
        return batch

    def save(self, folder: Path) -> None:
        write_fitted(folder, self._fitted)


def _bytes(column: pl.Series) -> list[bytes | None]:
    if str(column.dtype) != "Binary":
        raise Rejected(
            f"{column.name} holds {column.dtype}, not pictures; the step `pixels` makes them of columns",
            field="columns.image",
        )
    return column.to_list()


def _pixels(picture: Image.Image, size: tuple[int, int, int]) -> np.ndarray:
    """uint8 (channels, height, width)."""
    channels, height, width = size
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(height, width, channels).transpose(2, 0, 1)
