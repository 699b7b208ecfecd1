"""Rows that were erased are in no version, whichever step would have them; and nothing tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from modelhall.core.errors import Rejected
from modelhall.core.program import Order, Reporter, unpacked
from modelhall.stages import _data, prepare
from modelhall.stages import erase as erase_stage
from modelhall.stages.prepare.erasing import matching

Orders = Callable[..., Order]


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "people.csv"
    rows = "".join(f"p{number}@a.b,{number},{number % 10}\n" for number in range(100))
    path.write_text(f"email,size,mark\n{rows}p7@a.b,1000,3\n")
    return str(path)


def prepared(
    order: Order, monkeypatch: pytest.MonkeyPatch, *where: str
) -> tuple[dict[str, Any], dict[str, Any], pl.DataFrame]:
    """The output, the record and all rows of a preparation that is handed these erasures."""
    secrets = {f"erasure-e{number}": words for number, words in enumerate(where)}
    monkeypatch.setattr(prepare, "read_secrets", lambda: secrets)
    made = dict(prepare.carry_out(order, Reporter(order.work)))
    with unpacked(order, made["artifact"]) as folder:
        record = json.loads((folder / "dataset.json").read_text())
        return made, record, pl.concat(_data.read(folder, split) for split in _data.splits(folder))


def what(source: str, *steps: Any, erasures: int = 1) -> dict[str, Any]:
    return {
        "source": source, "format": {}, "prepare": list(steps), "max_damaged": 0.01,
        "erasures": [f"e{number}" for number in range(erasures)],
    }  # fmt: skip


def test_they_are_gone_before_any_step_sees_them(
    order: Orders, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"normalize": {"columns": ["size"], "to": "min-max"}}]
    made, record, rows = prepared(order(what(source, *steps)), monkeypatch, "email == 'p7@a.b'")
    assert rows.height == 99
    assert record["read"]["dropped"] == {"erased": 2}
    # Had the step seen the size of 1000, 99 would be a tenth of the range.
    assert rows["size"].max() == 1.0
    assert "p7@a.b" not in json.dumps([record, made])


def test_what_matches_once_the_steps_are_done_is_dropped_then(
    order: Orders, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    derive = {"derive": {"columns": {"name": "replace(email, '@a.b', '')"}}}
    drops = {"derive": {"columns": {"left": "size"}}}
    made, record, rows = prepared(order(what(source, derive, drops)), monkeypatch, "name == 'p7'")
    assert rows.height == 99
    assert record["erased"]["dropped"] == {"erased": 2}
    assert record["erased"]["examples"] == {}
    assert all(step["examples"] == {} for step in record["steps"])
    assert "p7@a.b" not in json.dumps([record, made])


def test_another_erasure_is_another_version_and_none_is_the_version_it_always_was(
    order: Orders, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {key: value for key, value in what(source).items() if key != "erasures"}
    versions = [
        prepared(order(plain, run="a"), monkeypatch)[0]["version"],
        prepared(order(what(source, erasures=0), run="b"), monkeypatch)[0]["version"],
        prepared(order(what(source), run="c"), monkeypatch, "size == 3")[0]["version"],
    ]
    assert versions[0] == versions[1] != versions[2]


def test_without_the_columns_that_say_which_there_is_no_version(
    order: Orders, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Rejected, match="erasure e0 names columns"):
        prepared(order(what(source)), monkeypatch, "phone == '123'")


@pytest.mark.parametrize(
    ("where", "says"),
    [("size", "not to true or false"), ("email > 3", "does not work"), ("ema == 1", "did you mean 'email'"),
     ("__import__('os')", "no function"), ("size ==", "cannot be read")],
)  # fmt: skip
def test_an_expression_that_says_nothing_of_a_row_is_refused(where: str, says: str) -> None:
    with pytest.raises(Rejected, match=says):
        matching(pl.DataFrame({"email": ["a"], "size": [1]}), where)


def test_rows_of_which_it_is_not_known_stay() -> None:
    assert matching(pl.DataFrame({"size": [1, None]}), "size == 1").to_list() == [True, False]


def test_the_files_of_a_version_go_but_for_those_another_has_as_well_and_a_second_go_deletes_nothing(
    order: Orders, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = what(source, {"split": {"seed": 1}}, erasures=0)
    old = prepared(order(plain, run="a"), monkeypatch)[0]["artifact"]
    renamed = what(source, {"split": {"seed": 1}}, {"derive": {"columns": {}}}, erasures=0)
    new = prepared(order(renamed, run="b"), monkeypatch)[0]["artifact"]
    asked = {"artifacts": [old], "keep": [new]}
    erase = order(asked, run="erase")
    told = erase_stage.carry_out(erase, Reporter(erase.work))
    assert told["files"] == 2  # its list and its dataset.json; the shards are the same as the new one's
    with unpacked(erase, new) as folder:
        assert _data.read(folder, "train").height > 0
    with pytest.raises(Exception, match="no blob"), unpacked(erase, old):
        pass
    assert erase_stage.carry_out(erase, Reporter(erase.work))["files"] == 0
