"""A file that changed, rows that came at the end, a row that was erased: what it does not touch stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core import digest
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages.prepare import formats, shards

SPLIT = {"split": {"train": 0.5, "validation": 0.2, "test": 0.3, "seed": 3}}


@pytest.fixture
def kept(
    order: Callable[..., Order], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., set[str]]:
    """Prepares all of the folder's files; the digests of the version's shards."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 100)

    def run(run: str, *steps: Any) -> set[str]:
        what = {"source": f"{tmp_path}/in/*.csv", "format": {}, "prepare": list(steps), "max_damaged": 0.0}
        made = order(what, run)
        output = prepare.carry_out(made, Reporter(made.work))
        with unpacked(made, output["artifact"]) as folder:
            paths = [path for split in output["rows"] for path in _data.files(folder, split)]
            return {digest.of_bytes(path.read_bytes()) for path in paths}

    return run


def _write(tmp_path: Path, name: str, first: int, rows: int) -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("v\n" + "".join(f"{value}\n" for value in range(first, first + rows)))
    return path


def test_a_changed_file_changes_no_shard_of_another(kept: Callable[..., set[str]], tmp_path: Path) -> None:
    for number in range(5):
        _write(tmp_path, f"{number}.csv", number * 1000, 60 + number)
    before = kept("before")
    assert len(before) == 5
    _write(tmp_path, "2.csv", 50_000, 71)
    assert len(before & kept("after")) == 4


def test_a_value_that_changed_changes_no_shard_of_another_file_after_a_split_either(
    kept: Callable[..., set[str]], tmp_path: Path
) -> None:
    for number in range(4):
        _write(tmp_path, f"{number}.csv", number * 1000, 80)
    before = kept("before", SPLIT)
    assert len(before) == 4 * 3
    path = tmp_path / "in" / "1.csv"
    path.write_text(path.read_text().replace("1000\n", "77777\n"))
    assert len(before - kept("after", SPLIT)) == 1


def test_small_files_share_a_shard_and_a_large_one_is_cut(
    kept: Callable[..., set[str]], tmp_path: Path
) -> None:
    for number in range(20):
        _write(tmp_path, f"{number:02d}.csv", number * 1000, 10)
    _write(tmp_path, "large.csv", 90_000, 230)
    assert len(kept("all")) == 4 + 3


def test_rows_that_are_added_leave_nearly_all_others_in_their_split(
    prepared: Callable[..., tuple[dict[str, Any], dict[str, pl.DataFrame]]], tmp_path: Path
) -> None:
    def splits(attempt: int) -> dict[int, str]:
        _, made = prepared(source=f"{tmp_path}/in/*.csv", prepare=[SPLIT], attempt=attempt)
        return {value: name for name, frame in made.items() for value in frame["v"].to_list()}

    _write(tmp_path, "1.csv", 0, 1000)
    before = splits(1)
    _write(tmp_path, "2.csv", 1000, 100)
    after = splits(2)
    assert len(after) == 1100
    assert sum(after[value] != split for value, split in before.items()) < 30


def test_where_a_shard_ends_does_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 10)
    rows = pl.DataFrame({"v": range(60)})
    file_ends = [3, 7, 15, 16, 41, 60]

    def cut(*stops: int) -> list[int]:
        batches, begin = [], 0
        for stop in (*stops, 60):
            ends = [end - begin for end in file_ends if begin < end <= stop]
            batches.append(formats.Batch(rows[begin:stop], ends))
            begin = stop
        found = list(shards.cut(batches))
        assert pl.concat(found).equals(rows)
        return [frame.height for frame in found]

    assert cut() == [7, 8, 10, 10, 6, 10, 9]
    assert cut(1, 2, 7, 8) == cut(33) == cut(*range(1, 60)) == cut()
