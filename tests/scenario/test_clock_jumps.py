"""Somebody sets the clock, forward or back by an hour: nothing that is measured notices."""

from __future__ import annotations

import pytest
from virtual_hall import World, declare

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.leadership import SILENCE_S, Leadership
from modelhall.core.kinds import Run
from modelhall.twin.clock import VirtualClock
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish

HOUR_S = 3600.0

jumps = pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])


def settle(plant: Plant, seconds: float) -> None:
    """Let time pass by the clock that does not jump."""
    end = plant.clock.monotonic() + seconds
    while (left_s := end - plant.clock.monotonic()) > 1e-6:
        plant.advance(left_s)


def events(plant: Plant, name: str) -> list[str]:
    return [event.message for event in plant.events() if event.name == name]


@jumps
def test_no_node_is_lost(plant: Plant, jump_s: float) -> None:
    declare(plant)
    plant.advance(15)
    for _ in range(4):
        plant.clock.jump(jump_s)
        settle(plant, 20)
    assert not events(plant, "node.lost")
    assert {node.status.state for node in plant.all("node")} == {"ready"}


@jumps
def test_a_node_that_is_gone_is_lost_no_later(plant: Plant, jump_s: float) -> None:
    settle(plant, 5)
    plant.launcher.lose_node("n1")
    settle(plant, 5)
    plant.clock.jump(jump_s)
    settle(plant, 9)
    assert plant.get("node", "n1").status.state == "lost"


@jumps
def test_no_lease_is_taken_from_a_leader_that_beats(jump_s: float) -> None:
    store, clock = MemoryStore(), VirtualClock()
    leader, candidate = (Leadership(store, clock, holder) for holder in ("a", "b"))
    for second in range(30):
        if second % 7 == 3:
            clock.jump(jump_s)
        finish(leader.step())
        finish(candidate.step())
        clock.advance(1.0)
    assert (leader.epoch, candidate.epoch) == (1, None)


@jumps
def test_a_silent_leader_is_replaced_no_sooner_and_no_later(jump_s: float) -> None:
    store, clock = MemoryStore(), VirtualClock()
    leader, candidate = (Leadership(store, clock, holder) for holder in ("a", "b"))
    finish(leader.step())
    finish(candidate.step())
    clock.jump(jump_s)
    clock.advance(SILENCE_S - 0.1)
    finish(candidate.step())
    assert candidate.epoch is None
    clock.advance(0.2)
    finish(candidate.step())
    assert candidate.epoch == 2


@jumps
def test_there_is_no_storm_of_retries(plant: Plant, world: World, jump_s: float) -> None:
    world.result["train"] = {"problem": {"message": "the disk is gone", "who": "us"}}
    world.takes_s = 1.0
    declare(plant)
    for _ in range(6):
        settle(plant, 10)
        plant.clock.jump(jump_s)
    assert len(plant.launcher.starts) <= 1 + 4 * 2


@jumps
def test_a_run_that_waits_to_be_tried_again_is_not_frozen(plant: Plant, jump_s: float) -> None:
    plant.apply(Run(name="job", command=("work",), retries=3))
    settle(plant, 1)
    while plant.get("run", "job").status.failures < 3:
        if plant.launcher.running():
            plant.launcher.kill("job")
        settle(plant, 0.3)
    assert plant.get("run", "job").status.state == "waiting"
    plant.clock.jump(jump_s)
    settle(plant, 5)
    assert plant.get("run", "job").status.attempt == 4


@jumps
def test_no_run_times_out_sooner_or_later(plant: Plant, world: World, jump_s: float) -> None:
    world.takes_s = 20.0
    plant.apply(
        *(Run(name=name, command=("work",), timeout_s=t) for name, t in [("short", 10.0), ("long", 30.0)])
    )
    settle(plant, 5)
    plant.clock.jump(jump_s)
    settle(plant, 4)
    assert {run.status.state for run in plant.all("run")} == {"running"}
    settle(plant, 13)
    assert [run.status.state for run in plant.all("run")] == ["succeeded", "failed"]
