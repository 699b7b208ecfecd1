"""Bad data of every sort, through the prepare stage itself: one clear error, or rows that are left out and counted.

However it ends, nothing half-written is there for anybody to take for a version.
"""

from __future__ import annotations

import io
import math
import struct
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from modelhall.core import files
from modelhall.core.errors import HallError, Rejected
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import prepare

Orders = Callable[..., Order]
WHAT = {"format": {}, "prepare": [], "max_damaged": 0.01}
GIB = 2**30


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def refusal(order: Orders, tmp_path: Path) -> Callable[..., HallError]:
    """The error that preparing ends in, once it is known that there is no version and nothing of one."""

    def go(source: Path, limits: dict[str, Any] | None = None, **what: Any) -> HallError:
        made = order({**WHAT, "source": str(source), **what})
        rules = made.sources.model_validate({"limits": limits or {}})
        with pytest.raises(HallError) as raised:
            prepare.carry_out(made.model_copy(update={"sources": rules}), Reporter(made.work))
        assert not (made.work / "result.json").exists()
        assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        return raised.value

    return go


def sound(frames: int = 800) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(struct.pack(f"<{frames}h", *(round(9000 * math.sin(n / 9)) for n in range(frames))))
    return buffer.getvalue()


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(buffer, format="PNG")
    return buffer.getvalue()


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"n": range(50_000)}).write_parquet(buffer, row_group_size=5000)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"n\n" + b"1\n" * 2_000_000)
    return buffer.getvalue()


def leading_out() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../escaped.csv", b"n\n1\n")
    return buffer.getvalue()


HALF_WAY = "".join(f'{{"n": {n}}}\n' for n in range(70_000)) + '{"n": "seventy thousand"}\n'


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.parquet", parquet()[:-2000], "a.parquet"),
        ("a.csv", b"a,b\n" + b"1,2\n" * 70_000 + b"3\n", "line 70002: 1 fields"),
        ("a.zip", bomb(), "as bombs do"),
        ("a.zip", leading_out(), "leads out of the archive"),
        ("a.csv", b"t\n" + "caf\u00e9\n".encode("cp1252") * 3, "line 2: byte 0xe9 is not UTF-8"),
        ("a.jsonl", HALF_WAY.encode(), "line 70001"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_place_and_leaves_no_version(
    refusal: Callable[..., HallError], place: Path, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (place / name).write_bytes(content)
    error = refusal(place / name)
    assert isinstance(error, Rejected)
    assert says in error.message
    assert not list(tmp_path.rglob("escaped.csv"))


@pytest.mark.parametrize("size_bytes", [GIB // 8, pytest.param(2 * GIB, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_line_without_end_is_refused_in_little_memory(
    refusal: Callable[..., HallError], place: Path, name: str, size_bytes: int
) -> None:
    with (place / name).open("wb") as file:
        file.write(b'n\n"' if name == "a.csv" else b'{"n": "')
        file.truncate(size_bytes)  # a hole: it takes no room on the disk
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak_bytes()
    # The file is read through once for its digest, and then no further than a line may be.
    error = refusal(place / name, limits={"line_bytes": 2**20})
    assert "1,048,576 bytes" in error.message
    assert peak_bytes() - before < GIB // 16


def peak_bytes() -> int:
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def test_a_csv_column_that_changes_its_type_half_way_becomes_text_and_loses_nothing(
    prepared: Callable[..., Any], place: Path
) -> None:
    (place / "a.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(70_000)) + "many\n")
    _, splits = prepared(source=str(place / "a.csv"))
    assert splits["train"]["n"].to_list() == [*map(str, range(70_000)), "many"]


@pytest.mark.parametrize(("name", "good"), [("pictures/{}.png", picture()), ("sounds/{}.wav", sound())])
def test_damaged_pictures_and_sounds_are_counted_and_capped(
    prepared: Callable[..., Any], refusal: Callable[..., HallError], place: Path, name: str, good: bytes
) -> None:
    if name.endswith(".wav"):
        pytest.importorskip("soundfile")
    for number in range(20):
        path = place / name.format(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(good[: len(good) // 2] if number in (3, 7) else good)
    error = refusal(place, max_damaged=0.05)
    assert error.field == "max_damaged"
    assert "2 of 20" in error.message
    assert "3." in error.message
    output, splits = prepared(source=str(place), max_damaged=0.1)
    assert splits["train"].height == 18
    assert output["steps"][0]["dropped"] == {"damaged": 2}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "n,m\n1.5,1\nNaN,2\nInfinity,3\n-inf,4\n,5\n"),
        ("a.jsonl", '{"n": 1.5}\n{"n": NaN}\n{"n": Infinity}\n{"n": -Infinity}\n{"n": null}\n'),
        ("a.json", '[{"n": 1.5}, {"n": NaN}, {"n": Infinity}, {"n": -Infinity}, {"n": null}]'),
    ],
)
def test_nan_and_infinity_are_counted_and_what_is_missing_is_filled(
    order: Orders, place: Path, name: str, content: str
) -> None:
    (place / name).write_text(content)
    steps = [{"missing": {"columns": ["n"], "fill": "constant", "value": 0.0}}]
    told, rows = [], []
    for run, prepare_steps in (("as they are", []), ("filled", steps)):
        made = order({**WHAT, "source": str(place / name), "prepare": prepare_steps}, run=run)
        with unpacked(made, prepare.carry_out(made, Reporter(made.work))["artifact"]) as folder:
            told.append(files.read_json(folder / "dataset.json"))
            rows.append(pl.read_parquet(next(folder.glob("*.parquet")))["n"])
    statistics = told[0]["statistics"]["train"]["n"]
    assert {key: statistics[key] for key in ("rows", "nulls", "nans", "infinite", "least", "largest")} == {
        "rows": 5, "nulls": 1, "nans": 1, "infinite": 2, "least": 1.5, "largest": 1.5,
    }  # fmt: skip
    # Infinity is a value: `outliers` and `validate` govern it. NaN is none, and goes as what is not there goes.
    assert rows[1].to_list() == [1.5, 0.0, math.inf, -math.inf, 0.0]
    assert told[1]["steps"][0]["counts"] == {"all": {"n": {"missing": 1, "nan": 1}}}


def test_ranges_keep_infinity_out_of_a_version(refusal: Callable[..., HallError], place: Path) -> None:
    (place / "a.csv").write_text("n\n1.5\nInfinity\n")
    error = refusal(place / "a.csv", prepare=[{"validate": {"ranges": {"n": [0, 10]}}}])
    assert "n is not within [0, 10] in 1 of 2 rows" in error.message
