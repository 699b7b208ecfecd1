"""Pictures: their sizes, colours, damage, and the requests that hold them."""

from __future__ import annotations

import base64
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall import tasks
from modelhall.core.errors import Rejected
from modelhall.tasks import Tensor


def png(mode: str, size: tuple[int, int], value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def fitted(pictures: list[bytes]) -> tasks.Task:
    frame = pl.DataFrame({"image": pictures, "label": [row % 2 for row in range(len(pictures))]})
    return tasks.fit("image-classification", {"train": frame}, {})


def request(*data: str) -> dict[str, Tensor]:
    return {"image": Tensor(name="image", datatype="BYTES", shape=(len(data),), data=data)}


def test_grey_pictures_have_one_channel_and_others_three() -> None:
    assert fitted([png("L", (6, 8))] * 2).shape.sizes == {"channels": 1, "height": 8, "width": 6}
    assert fitted([png("L", (6, 8)), png("RGB", (6, 8))]).shape.sizes["channels"] == 3


def test_pictures_take_the_commonest_size_of_the_training_split() -> None:
    task = fitted([png("L", (6, 8))] * 3 + [png("L", (20, 20))])
    assert task.shape.sizes["height"] == 8
    examples = task.read(request(base64.b64encode(png("RGB", (50, 20))).decode()))
    assert task.batch(examples, [0])["pixel_values"].shape == (1, 1, 8, 6)


def test_large_pictures_are_shrunk_in_proportion() -> None:
    sizes = fitted([png("L", (1120, 560))] * 2).shape.sizes
    assert (sizes["height"], sizes["width"]) == (112, 224)


def test_pixels_have_mean_0_and_spread_1_over_the_training_split() -> None:
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(20):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (5, 5), np.uint8)).save(buffer, format="PNG")
        pictures.append(buffer.getvalue())
    task = fitted(pictures)
    frame = pl.DataFrame({"image": pictures, "label": [row % 2 for row in range(20)]})
    pixels = task.batch(task.examples("train", frame), range(20))["pixel_values"]
    assert abs(pixels.mean().item()) < 1e-5
    assert abs(pixels.std().item() - 1) < 0.01


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("not base64!", "not base64"),
        (base64.b64encode(b"no picture").decode(), "not a picture"),
        ("", "not a picture"),
        (base64.b64encode(png("L", (60, 60), 3)[:60]).decode(), "damaged"),
        (base64.b64encode(png("L", (8000, 8000))).decode(), "8000×8000"),
    ],
)
def test_a_request_that_is_no_picture_is_rejected_by_its_place(data: str, says: str) -> None:
    task = fitted([png("L", (6, 8))] * 2)
    with pytest.raises(Rejected, match=says) as raised:
        task.read(request(base64.b64encode(png("L", (6, 8))).decode(), data))
    assert raised.value.message.startswith("image 1")


def test_a_column_of_numbers_is_no_column_of_pictures() -> None:
    frame = pl.DataFrame({"image": [1, 2], "label": [0, 1]})
    with pytest.raises(Rejected, match="pixels") as raised:
        tasks.fit("image-classification", {"train": frame}, {})
    assert raised.value.field == "columns.image"
