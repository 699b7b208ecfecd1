"""A preparation comes to the same bytes by one process or several, and after a kill at any shard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelhall.core.program import Order, Reporter
from modelhall.stages import prepare
from modelhall.stages.prepare import passes, shards

Orders = Callable[..., Order]
STEPS = [
    {"clean": {"strip_html": True}},
    {"deduplicate": {"near": 0.8, "columns": ["text"]}},
    {"split": {"seed": 3, "stratify": "label"}},
    {"missing": {"columns": ["size"], "fill": "mean"}},
    {"normalize": {"columns": ["size"]}},
    {"encode": {"columns": ["label"], "by": "ordinal"}},
    {"tokenize": {"size": 300, "keep": True}},
    {"shuffle": {"seed": 5}},
]


@pytest.fixture
def what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An order for rows that lie in eight shards and go through every sort of step."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 25)
    rows = [
        {
            "text": " ".join(f"<b>word{number * place % 91}</b>" for place in range(1, 30)),
            "label": ("good", "bad")[number % 2],
            "size": None if number % 9 == 0 else number % 13,
        }
        for number in range(200)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"source": str(path), "format": {}, "prepare": STEPS, "max_damaged": 0.0}


def carried_out(order: Order) -> dict[str, Any]:
    return dict(prepare.carry_out(order, Reporter(order.work)))


class Killed(BaseException):
    """Ends a preparation as a kill would: nothing is tidied up on the way."""


def test_two_processes_make_the_same_as_one(order: Orders, what: dict[str, Any]) -> None:
    one, two = (carried_out(order(what, run=f"by-{count}", threads=count)) for count in (1, 2))
    assert one["artifact"] == two["artifact"]
    assert one["rows"]["train"] > one["rows"]["test"] > 0


@pytest.mark.parametrize("shard", [0, 9, 35])
def test_a_killed_preparation_goes_on_to_the_same_bytes(
    order: Orders, what: dict[str, Any], shard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = carried_out(order(what, run="unbroken"))
    done: list[int] = []

    def carry(job: passes.Job) -> Any:
        if len(done) == shard:
            raise Killed
        done.append(job.number)
        return work(job)

    work = passes.carry
    monkeypatch.setattr(passes, "carry", carry)
    killed = order(what, run="killed")
    with pytest.raises(Killed):
        prepare.carry_out(killed, Reporter(killed.work))
    before = len(done)
    done.clear()
    shard = 10**9
    assert carried_out(order(what, run="killed", attempt=2))["artifact"] == whole["artifact"]
    # What had been done was not done again.
    shards_made = 8 * 8  # eight passes over eight shards
    assert before + len(done) == shards_made


def test_nothing_is_left_of_the_rows_once_the_version_is_stored(order: Orders, what: dict[str, Any]) -> None:
    made = order(what)
    carried_out(made)
    assert [path for path in made.state.rglob("*") if path.is_file()] == []


def test_what_an_attempt_at_another_version_left_is_removed(order: Orders, what: dict[str, Any]) -> None:
    left = order({}).state / "versions" / "of-another-source"
    left.mkdir(parents=True)
    (left / "rows.arrow").write_bytes(b"rows")
    carried_out(order(what))
    assert not left.exists()
