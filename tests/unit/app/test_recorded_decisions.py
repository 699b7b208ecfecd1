"""What the scheduler decided can be decided again, on the facts it was decided on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelhall.app import decisions
from modelhall.core.errors import Rejected
from modelhall.doors.cli.main import cli
from modelhall.policy import deciding
from modelhall.policy.schedule import Asking, Decision, Facts, Held, Part, Room, Share

NAME = "fair+best-fit"


def ask(name: str, gpus: float = 0.5, **fields: object) -> Asking:
    some = {
        "project": "red",
        "cpus": 1.0,
        "memory_bytes": 2**30,
        "serves": False,
        "priority": 0,
        "since": 1.0,
    }
    return Asking(name=name, gpus=gpus, **{**some, **fields})  # type: ignore[arg-type]


def facts(*queue: Asking) -> Facts:
    node = Room(name="n", cpus=8, memory_bytes=2**33, free_cpus=7, free_memory_bytes=2**32, gpus=2,
                free_gpus=(1.0, 0.25), gpu_type="T4", labels={"rack": "a"})  # fmt: skip
    there = Held(asking=ask("there", 0.75), parts=(Part("n", 1, ((1, 750),)),), started_at=5.0)
    shares = {"red": Share(used_cpus=1.0, most_cpus=8.0, used_gpus=0.75, weight=2.0, use=0.1)}
    return Facts(now=1_750_000_000.0, queue=queue, nodes=[node], projects=shares, held=[there])


def record(folder: Path, *rounds: Facts) -> Path:
    decide = decisions.recorded(deciding.named(NAME), NAME, folder)
    for one in rounds:
        decide(one)
    (path,) = folder.iterdir()
    return path


def test_every_round_that_started_something_comes_out_the_same_again(tmp_path: Path) -> None:
    only_here = ask("picky", 1, only_on=frozenset({"n"}), labels=(("rack", "a"),), deadline=2e9)
    rounds = [facts(ask("one"), ask("two", 0.25)), facts(ask("giant", 8)), facts(only_here)]
    found = list(decisions.read(record(tmp_path, *rounds)))
    assert [[placed.run for placed in one.started] for one in found] == [["one", "two"], ["picky"]]
    for one, before in zip(found, (rounds[0], rounds[2]), strict=True):
        assert one.facts is not None
        assert list(one.facts.queue) == list(before.queue)
        assert decisions.again(one, deciding.named(NAME)) == one
    done = CliRunner().invoke(cli, ["replay", str(record(tmp_path))])
    assert done.exit_code == 0, done.output
    assert done.output.count("the same") == 2


def test_another_policy_shows_where_it_decides_otherwise(tmp_path: Path) -> None:
    path = record(tmp_path, facts(ask("late", 1, since=9.0, priority=9), ask("early", 1, since=1.0)))
    (one,) = decisions.read(path)
    other = decisions.again(one, deciding.named("fifo"))
    assert other is not None
    assert ([p.run for p in one.started], [p.run for p in other.started]) == (["late"], ["early"])


def test_a_record_that_breaks_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = record(tmp_path, facts(ask("one")), facts(ask("two")))
    path.write_bytes(path.read_bytes()[:-9])
    assert [one.started[0].run for one in decisions.read(path)][:1] == ["one"]
    other = tmp_path / "other"
    other.write_text("no record")
    with pytest.raises(Rejected, match="cannot be read"):
        list(decisions.read(other))


def test_a_record_that_cannot_be_written_costs_no_decision(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    decide = decisions.recorded(deciding.named(NAME), NAME, blocked)
    found: list[Decision] = decide(facts(ask("one")))
    assert len(found) == 1
