"""Steps that change pictures when they are prepared, and each time they are learnt from."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core import files
from modelhall.core.errors import Rejected
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.prepare import shards
from modelhall.stages.prepare.steps import augment_pictures, crop, grayscale, resize
from modelhall.stages.train.requests import FILE, preparation
from modelhall.tasks import Tensor
from modelhall.tasks._preparation import Preparation

Orders = Callable[..., Order]
Prepared = Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]]


def encoded(pixels: np.ndarray, form: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format=form, **how)
    return buffer.getvalue()


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def rows(*pictures: np.ndarray | bytes | None) -> pl.DataFrame:
    data = [encoded(one) if isinstance(one, np.ndarray) else one for one in pictures]
    return pl.DataFrame({"image": data}, schema={"image": pl.Binary})


def changed(module: Any, picture: np.ndarray | bytes, **options: Any) -> np.ndarray:
    return pixels_of(module.apply(rows(picture), **options).rows["image"][0])


WHITE = np.full((2, 4), 255)
STEPS = np.arange(24).reshape(4, 6) * 10


def test_a_picture_that_is_to_fit_keeps_its_proportions_between_borders() -> None:
    made = changed(resize, WHITE, size=[8, 8], background=7)
    assert made.shape == (8, 8)
    assert made[2:6].min() == 255
    assert set(made[[0, 1, 6, 7]].ravel().tolist()) == {7}


def test_a_picture_that_is_to_fill_loses_what_is_over_and_one_that_is_stretched_nothing() -> None:
    halves = np.repeat([[0, 100, 200, 255]], 2, axis=0)
    assert changed(resize, halves, size=[2, 2], how="fill", resampling="nearest").tolist() == [[100, 200]] * 2
    assert (
        changed(resize, halves, size=[4, 4], how="stretch", resampling="nearest").tolist()
        == [[0, 100, 200, 255]] * 4
    )


def test_colours_stay_and_borders_are_grey() -> None:
    red = np.zeros((2, 4, 3))
    red[:, :, 0] = 200
    made = changed(resize, red, size=[4, 4], background=9)
    assert made.shape == (4, 4, 3)
    assert made[1, 1].tolist() == [200, 0, 0]
    assert made[0, 0].tolist() == [9, 9, 9]


def test_the_middle_or_a_box_is_cut_out_and_a_short_side_stays() -> None:
    assert changed(crop, STEPS, size=[2, 2]).tolist() == [[80, 90], [140, 150]]
    assert changed(crop, STEPS, size=[9, 2]).shape == (4, 2)
    assert changed(crop, STEPS, box=[1, 2, 3, 99]).tolist() == [[80, 90, 100, 110], [140, 150, 160, 170]]
    assert changed(crop, STEPS, box=[0, 6, 2, 8]).shape == (4, 6)


def test_grey_is_the_brightness_of_colours() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert changed(grayscale, colours).tolist() == [[76, 150, 29]]


def test_a_photograph_is_held_upright_before_it_is_changed() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    photograph = encoded(np.zeros((2, 6)), "JPEG", exif=exif)
    assert changed(crop, photograph, size=[99, 99]).shape == (6, 2)


def test_what_was_written_beside_a_picture_is_not_kept() -> None:
    beside = encoded(np.zeros((2, 2)), icc_profile=b"where and when" * 9)
    assert b"iCCP" not in grayscale.apply(rows(beside)).rows["image"][0]


@pytest.mark.parametrize("module", [grayscale, resize, crop])
def test_a_missing_picture_stays_missing_and_a_damaged_one_is_refused(module: Any) -> None:
    options = {} if module is grayscale else {"size": [2, 2]}
    assert module.apply(rows(None, STEPS), **options).rows["image"].null_count() == 1
    bomb = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x00\x00\x00\x01\x00\x00\x08\x00\x00\x00\x00"
    for hostile in (
        b"",
        b"MZ",
        encoded(STEPS)[:40],
        bomb + b"\0" * 4,
        encoded(STEPS).replace(b"IDAT", b"IDAX"),
    ):
        with pytest.raises(Rejected, match="image of row 1") as raised:
            module.apply(rows(STEPS, hostile), **options)
        assert raised.value.field == "column"


@pytest.mark.parametrize(
    ("module", "options", "field"),
    [
        (resize, {"size": [0, 2]}, "size"), (resize, {"size": [3]}, "size"), (resize, {"size": [1, 10**6]}, "size"),
        (crop, {}, "size"), (crop, {"size": [1, 1], "box": [0, 0, 1, 1]}, "size"),
        (crop, {"box": [2, 0, 1, 1]}, "box"),
        (grayscale, {"column": "no"}, "column"), (augment_pictures, {"column": "label"}, "column"),
        (augment_pictures, {"scale": 1.5}, "scale"), (augment_pictures, {"cutout": -0.1}, "cutout"),
        (augment_pictures, {"mixup": -1.0}, "mixup"), (augment_pictures, {"noise": -1.0}, "noise"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_met_are_refused(module: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(Rejected) as raised:
        module.apply(rows(STEPS).with_columns(label=1), **options)
    assert raised.value.field == field


VARIED = [
    {"rotate": 30}, {"flip": ["horizontal"]}, {"flip": ["vertical"]}, {"scale": 0.5}, {"shift": 0.3}, {"crop": 0.5},
    {"brightness": 0.5}, {"contrast": 0.9}, {"noise": 0.2}, {"cutout": 0.5},
]  # fmt: skip


def varied(picture: np.ndarray, seeds: range = range(8), **options: Any) -> list[np.ndarray]:
    randoms = [np.random.default_rng([seed]) for seed in seeds]
    made = augment_pictures.vary(rows(*[picture] * len(seeds)), randoms, **options)
    return [pixels_of(data) for data in made["image"]]


@pytest.mark.parametrize("options", VARIED, ids=[next(iter(option)) for option in VARIED])
def test_every_way_to_vary_changes_pictures_by_the_seed_and_keeps_their_size(options: dict[str, Any]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 10))
    made = varied(picture, **options)
    assert {one.shape for one in made} == {(12, 10)}
    assert len({one.tobytes() for one in made}) > 1
    assert all((a == b).all() for a, b in zip(made, varied(picture, **options), strict=True))


def test_without_options_nothing_is_changed() -> None:
    assert all((one == STEPS).all() for one in varied(STEPS))


def test_a_turn_is_about_the_middle_and_a_quarter_is_a_quarter() -> None:
    cross = np.zeros((9, 9))
    cross[4, :5] = 200
    turned = augment_pictures._moved(Image.fromarray(cross.astype(np.uint8)), 90, 1.0, 0, 0)
    assert np.abs(np.asarray(turned).astype(int) - np.rot90(cross, -1)).max() <= 1
    moved = augment_pictures._moved(Image.fromarray(cross.astype(np.uint8)), 0, 1.0, 1 / 9, 0)
    assert np.abs(np.asarray(moved)[4, 1:6].astype(int) - 200).max() <= 1


def test_saturation_changes_colours_and_leaves_grey_alone() -> None:
    coloured = np.random.default_rng(2).integers(0, 256, (4, 4, 3))
    assert any((one != coloured).any() for one in varied(coloured, saturation=0.9))
    assert all((one == STEPS).all() for one in varied(STEPS, saturation=0.9))


def test_a_square_is_blackened_and_never_more_than_it() -> None:
    for one in varied(np.full((10, 10), 255), cutout=0.5):
        assert 0 < (one == 0).sum() <= 25


def test_a_step_that_varies_stands_behind_those_that_change_rows(prepared: Prepared, tmp_path: Path) -> None:
    rows(STEPS).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(Rejected, match="let it follow `resize`") as raised:
        prepared(
            source=str(tmp_path / "rows.parquet"), prepare=["augment-pictures", {"resize": {"size": [2, 2]}}]
        )
    assert raised.value.field == "prepare.0.augment-pictures"


PIPELINE = [
    {"grayscale": {}},
    {"resize": {"size": [8, 8], "resampling": "lanczos"}},
    {"split": {"seed": 1}},
    {"crop": {"size": [6, 6]}},
    {"shuffle": {"seed": 4}},
    {"augment-pictures": {"rotate": 20, "mixup": 0.3}},
]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    path = tmp_path / "pictures.parquet"
    data = [encoded(random.integers(0, 256, (5 + n % 4, 6, 3)), ("PNG", "JPEG")[n % 2]) for n in range(40)]
    pl.DataFrame({"id": range(40), "image": data, "label": [n % 2 for n in range(40)]}).write_parquet(path)
    return path


def test_pictures_of_a_request_come_out_as_the_prepared_ones_and_unvaried(
    prepared: Prepared, order: Orders, pictures: Path, tmp_path: Path
) -> None:
    output, splits = prepared(source=str(pictures), prepare=PIPELINE)
    with unpacked(order({}), output["artifact"]) as folder:
        told = preparation(_data.steps(folder), {"image": "image"})
    assert [step["name"] for step in told["steps"]] == ["grayscale", "resize", "crop"]  # type: ignore[index]
    files.write_json(tmp_path / FILE, told)
    replica = Preparation(tmp_path)
    raw = dict(pl.read_parquet(pictures).select("id", "image").iter_rows())
    for frame in splits.values():
        for number, image in frame.select("id", "image").iter_rows():
            sent = Tensor(
                name="image", datatype="BYTES", shape=(1,), data=[base64.b64encode(raw[number]).decode()]
            )
            assert base64.b64decode(replica.apply({"image": sent})["image"].data[0]) == image


def test_a_request_with_a_damaged_picture_is_refused(
    prepared: Prepared, order: Orders, pictures: Path, tmp_path: Path
) -> None:
    output, _ = prepared(source=str(pictures), prepare=PIPELINE)
    with unpacked(order({}), output["artifact"]) as folder:
        files.write_json(tmp_path / FILE, preparation(_data.steps(folder), {"image": "image"}))
    sent = Tensor(name="image", datatype="BYTES", shape=(1,), data=[base64.b64encode(b"GIF89a").decode()])
    with pytest.raises(Rejected, match="image of row 0 is"):
        Preparation(tmp_path).apply({"image": sent})


def test_two_processes_make_the_same_pictures_as_one(
    order: Orders, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 9)
    what = {"source": str(pictures), "format": {}, "prepare": PIPELINE, "max_damaged": 0.0}
    one, two = (
        prepare.carry_out(made, Reporter(made.work))
        for made in (order(what, run=f"by-{count}", threads=count) for count in (1, 2))
    )
    assert one["artifact"] == two["artifact"]
    assert [step["rows_out"] for step in one["steps"]] == [40] * len(PIPELINE)


def test_damaged_pictures_are_counted_before_any_step_sees_them(prepared: Prepared, tmp_path: Path) -> None:
    rows(STEPS, encoded(STEPS)[:50], STEPS, b"").write_parquet(tmp_path / "rows.parquet")
    output, _ = prepared(source=str(tmp_path / "rows.parquet"), prepare=PIPELINE[:2], max_damaged=0.5)
    assert output["rows"] == {"train": 2}
    assert output["steps"][0]["dropped"] == {"damaged": 2}
