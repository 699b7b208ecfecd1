"""What differs between two versions, what a version holds, and how it is written elsewhere."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core.errors import NotFound, Rejected
from modelhall.core.looking import Question
from modelhall.core.program import Order, Reporter
from modelhall.stages import prepare
from modelhall.stages.look import compare, export, match, only, record, rows

Orders = Callable[..., Order]
SPLIT = {"split": {"seed": 1}}


@pytest.fixture
def made(order: Orders, tmp_path: Path) -> Callable[..., str]:
    """Prepares rows; the artifact."""

    def make(run: str, given: list[dict[str, Any]], *steps: Any) -> str:
        path = tmp_path / f"{run}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in given))
        what = {"source": str(path), "format": {}, "prepare": list(steps), "max_damaged": 0.0}
        asked = order(what, run=run)
        return str(prepare.carry_out(asked, Reporter(asked.work))["artifact"])

    return make


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Question]:
    def ask(sort: str, *artifacts: str, **more: Any) -> Question:
        return Question(
            ask=sort, blobs=f"folder://{tmp_path}/blobs", cache=tmp_path / "c", artifacts=artifacts, **more
        )

    return ask


def numbers(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"text {number}", "size": number} for number in range(start, start + count)]


def test_what_differs_is_told_part_by_part(made: Callable[..., str], asked: Callable[..., Question]) -> None:
    one = made("one", [*numbers(20), {"text": "twice", "size": 1}, {"text": "twice", "size": 1}])
    other = made(
        "other",
        [*numbers(20, start=5), {"text": "twice", "size": 1}],
        {"derive": {"columns": {"long": "size > 3"}}},
    )
    found = compare.answer(asked("compare", one, other, limit=2))
    assert found["steps"] == {"removed": [], "added": [{"derive": {"columns": {"long": "size > 3"}}}]}
    assert found["columns"] == [{"name": "long", "before": None, "after": "boolean"}]
    assert found["counts"] == {"train": {"before": 22, "after": 21}}
    told = found["rows"]["train"]
    assert told["compared_by"] == ["text", "size"]
    # Five of the numbers, and one of the two that are alike.
    assert told["only_before"]["rows"] == 6
    assert told["only_after"]["rows"] == 5
    assert told["only_before"]["examples"] == [{"text": "text 0", "size": 0}, {"text": "text 1", "size": 1}]
    moved = {(one["column"], one["figure"]): one for one in found["statistics"]}
    assert moved["size", "largest"]["after"] == 24


def test_two_versions_that_are_alike_differ_in_nothing(
    made: Callable[..., str], asked: Callable[..., Question]
) -> None:
    one, other = made("one", numbers(20), SPLIT), made("two", numbers(20), SPLIT)
    found = compare.answer(asked("compare", one, other))
    assert found["statistics"] == found["columns"] == []
    assert all(of["only_before"]["rows"] == of["only_after"]["rows"] == 0 for of in found["rows"].values())


@pytest.mark.parametrize("at_once", [7, 1000])
def test_rows_are_counted_the_same_in_however_many_goes(
    made: Callable[..., str], asked: Callable[..., Question], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = made("one", numbers(50)), made("two", numbers(50, start=20))
    monkeypatch.setattr(only, "AT_ONCE", at_once)
    told = compare.answer(asked("compare", one, other))["rows"]["train"]
    assert (told["only_before"]["rows"], told["only_after"]["rows"]) == (20, 20)
    assert [row["size"] for row in told["only_before"]["examples"]] == [0, 1, 2, 3, 4]


def test_a_split_that_is_too_large_is_not_compared_and_says_so(
    made: Callable[..., str], asked: Callable[..., Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(only, "AT_ONCE", 1)
    one = made("one", numbers(50))
    told = compare.answer(asked("compare", one, one))["rows"]["train"]
    assert told == {"compared_by": [], "reason": "it has 50 rows; 16 are compared at most"}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_an_export_holds_every_row_and_ends_with_the_record(
    made: Callable[..., str], asked: Callable[..., Question], form: str, tmp_path: Path
) -> None:
    artifact = made("one", numbers(40), SPLIT)
    sent = io.BytesIO()
    export.write(asked("export", artifact, form=form), sent)
    sent.seek(0)
    with tarfile.open(fileobj=sent) as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "out")
    assert names[-1] == "dataset.json"
    read = pl.read_parquet if form == "parquet" else pl.read_ndjson
    written = pl.concat(read(tmp_path / "out" / name) for name in names[:-1])
    assert sorted(written["size"]) == list(range(40))
    one_split = io.BytesIO()
    export.write(asked("export", artifact, form=form, split="test"), one_split)
    one_split.seek(0)
    with tarfile.open(fileobj=one_split) as tar:
        assert [name.split("-")[0] for name in tar.getnames()] == ["test", "dataset.json"]


def test_rows_and_record_are_of_the_version_that_is_asked_for(
    made: Callable[..., str], asked: Callable[..., Question]
) -> None:
    artifact = made("one", numbers(4))
    assert rows.answer(asked("rows", artifact, split="train", limit=1)) == numbers(1)
    assert record.answer(asked("record", artifact))["splits"]["train"]["rows"] == 4
    with pytest.raises(NotFound, match="no split 'test'; there is: train"):
        rows.answer(asked("rows", artifact, split="test"))


def test_matching_rows_are_counted_by_version_and_split(
    made: Callable[..., str], asked: Callable[..., Question]
) -> None:
    one, other = (
        made("one", numbers(10)),
        made("two", numbers(10, start=8), {"rename": {"columns": {"size": "height"}}}),
    )
    # The newest was given another name for it, but its source has it.
    assert match.answer(asked("match", one, other, where="size < 9")) == [{"train": 9}, None]
    with pytest.raises(Rejected, match="no column 'wide'"):
        match.answer(asked("match", one, where="wide < 9"))
