"""What dataset.json tells of columns is what numpy and polars tell of all rows at once, however they are cut."""

from __future__ import annotations

import io
import struct
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core import files
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import prepare

ROWS = 1000


def picture(size: tuple[int, int], mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format="PNG")
    return buffer.getvalue()


def sound(frames: int, rate: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack("<h", 7) * frames)
    return buffer.getvalue()


def frame() -> pl.DataFrame:
    random = np.random.default_rng(5)
    numbers = random.normal(3, 2, ROWS)
    numbers[::50], numbers[7], numbers[9] = np.nan, np.inf, -np.inf
    return pl.DataFrame(
        {
            "number": [None if place % 31 == 0 else value for place, value in enumerate(numbers.tolist())],
            "whole": random.integers(-(10**6), 10**6, ROWS),
            "text": ["好" * int(size) if size else None for size in random.integers(0, 90, ROWS)],
            "category": [("red", "green", "blue", None)[place] for place in random.integers(0, 4, ROWS)],
            "list": [list(range(size)) for size in random.integers(0, 40, ROWS)],
            "picture": [picture((4 + place % 3, 5), ("L", "RGB")[place % 2]) for place in range(ROWS)],
            "sound": [sound(100 + place, (8000, 16_000)[place % 2]) for place in range(ROWS)],
        },
        schema_overrides={"number": pl.Float64},
    )


@pytest.fixture(params=[65_536, 170])
def told(
    request: pytest.FixtureRequest,
    order: Callable[..., Order],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """The statistics of the version, prepared in one shard and in several."""
    monkeypatch.setattr("modelhall.stages.prepare.shards.SHARD_ROWS", request.param)
    frame().write_parquet(tmp_path / "rows.parquet")
    what = {"source": str(tmp_path / "rows.parquet"), "format": {}, "prepare": [], "max_damaged": 0.0}
    made = order(what)
    with unpacked(made, prepare.carry_out(made, Reporter(made.work))["artifact"]) as folder:
        found: dict[str, Any] = files.read_json(folder / "dataset.json")["statistics"]["train"]
    return found


@pytest.mark.parametrize("name", ["number", "whole"])
def test_numbers_are_those_of_numpy_and_nan_is_in_none_of_them(told: dict[str, Any], name: str) -> None:
    column = frame()[name]
    there = column.drop_nulls().to_numpy().astype(np.float64)
    finite = there[np.isfinite(there)]
    shown = told[name]
    assert (shown["rows"], shown["nulls"]) == (ROWS, column.null_count())
    assert shown["nans"] == np.isnan(there).sum()
    assert shown["infinite"] == np.isinf(there).sum()
    assert (shown["least"], shown["largest"]) == (finite.min(), finite.max())
    assert shown["mean"] == pytest.approx(finite.mean(), rel=1e-12)
    assert shown["deviation"] == pytest.approx(finite.std(), rel=1e-12)
    assert shown["histogram"] == np.histogram(finite, bins=20)[0].tolist()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("text", pl.col("text").str.len_chars()),
        ("list", pl.col("list").list.len()),
        ("picture", pl.col("picture").bin.size()),
    ],
)
def test_lengths_are_those_of_polars(told: dict[str, Any], name: str, sizes: pl.Expr) -> None:
    found = frame().select(sizes).to_series().drop_nulls().to_list()
    shown = told[name]
    assert (shown["shortest"], shown["longest"]) == (min(found), max(found))
    assert shown["mean_length"] == pytest.approx(sum(found) / len(found))
    # 0, 1, 2-3, 4-7…
    assert dict(enumerate(shown["lengths"])) == {
        power: sum(size.bit_length() == power for size in found) for power in range(len(shown["lengths"]))
    }
    assert sum(shown["lengths"]) == len(found)


def test_categories_are_counted_the_commonest_first(told: dict[str, Any]) -> None:
    counted = Counter(frame()["category"].drop_nulls().to_list())
    assert list(told["category"]["values"].items()) == counted.most_common()
    assert told["category"]["nulls"] == frame()["category"].null_count()


def test_pictures_are_counted_by_size_and_mode(told: dict[str, Any]) -> None:
    expected = Counter(f"{4 + place % 3}x5 {('L', 'RGB')[place % 2]}" for place in range(ROWS))
    assert told["picture"]["pictures"] == expected


def test_sounds_are_counted_by_rate_and_measured_in_seconds(told: dict[str, Any]) -> None:
    pytest.importorskip("soundfile")
    assert told["sound"]["sounds"] == {"8000 Hz, 1 channel": 500, "16000 Hz, 1 channel": 500}
    seconds = sum((100 + place) / (8000, 16_000)[place % 2] for place in range(ROWS))
    assert told["sound"]["sound_s"] == pytest.approx(seconds)
