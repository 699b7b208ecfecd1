"""What a run that waits is told of its turn."""

from __future__ import annotations

import pytest

from modelhall.policy.deciding import parts_of
from modelhall.policy.outlook import Outlook, outlook
from modelhall.policy.schedule import Asking, Facts, Held, Part, Room, RunKey

PARTS = parts_of("fair", "best-fit")


def ask(name: str, gpus: float, **fields: object) -> Asking:
    some = {"project": "red", "cpus": 1.0, "memory_bytes": 0, "serves": False, "priority": 0, "since": 0.0}
    return Asking(name=name, gpus=gpus, **{**some, **fields})  # type: ignore[arg-type]


def room(name: str, free: int, **fields: object) -> Room:
    gpus = (1.0,) * free + (0.0,) * (8 - free)
    return Room(
        name=name,
        cpus=64,
        memory_bytes=0,
        free_cpus=64,
        free_memory_bytes=0,
        gpus=8,
        free_gpus=gpus,
        **fields,
    )  # type: ignore[arg-type]


def held(name: str, node: str, gpus: range, ends_at: float | None) -> Held:
    part = Part(node, 1, tuple((number, 1000) for number in gpus))
    return Held(asking=ask(name, len(gpus)), parts=(part,), started_at=0.0, ends_at=ends_at)


def look(queue: list[Asking], rooms: list[Room], there: list[Held], run: str) -> Outlook:
    return outlook(Facts(now=100.0, queue=queue, nodes=rooms, held=there), PARTS, RunKey("red", run))


def test_the_start_is_foretold_by_the_ends_of_those_before_with_a_band() -> None:
    there = [held("long", "n", range(8), 1100.0)]
    queue = [ask("first", 8, since=1.0, expected_s=500.0), ask("mine", 8, since=2.0)]
    found = look(queue, [room("n", 0)], there, "mine")
    assert (found.place, found.ahead) == (2, (RunKey("red", "first"),))
    assert found.starts_in_s == pytest.approx(1500)
    assert (found.soonest_s, found.latest_s) == (pytest.approx(750), pytest.approx(3000))


def test_the_least_change_that_has_it_start_now_is_told() -> None:
    there = [held("long", "n", range(2, 8), 1100.0)]
    found = look([ask("mine", 4)], [room("n", 2)], there, "mine")
    assert [(one.words, one.starts_in_s) for one in found.changes] == [("with 2 GPUs less", 0.0)]


def test_where_else_it_would_start_sooner_is_told_with_the_time() -> None:
    there = [held("west", "w", range(8), 5000.0), held("east", "e", range(8), 400.0)]
    rooms = [room("w", 0, labels={"rack": "west"}), room("e", 0, labels={"rack": "east"})]
    found = look([ask("mine", 8, labels=(("rack", "west"),))], rooms, there, "mine")
    assert ("with rack=any", 300.0) in [(one.words, one.starts_in_s) for one in found.changes]
    assert found.starts_in_s == pytest.approx(4900)


def test_what_never_starts_has_no_place_and_no_time() -> None:
    found = look([ask("giant", 16)], [room("n", 8)], [], "giant")
    assert (found.place, found.starts_in_s) == (None, None)
    assert [one.words for one in found.changes] == ["with 8 GPUs less"]
