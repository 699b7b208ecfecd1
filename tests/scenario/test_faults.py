"""Kills, lost machines and restarts, on virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_hall import World, declare, stage_of

from modelhall.control.runs import attempt_id
from modelhall.core.ports.launcher import NodeReport
from modelhall.twin.plant import Plant


def attempts(plant: Plant, stage: str) -> int:
    return sum(stage_of(launch) == stage for launch in plant.launcher.starts)


def run_of(plant: Plant, stage: str) -> str:
    return next(launch.run for launch in plant.launcher.starts if stage_of(launch) == stage)


def test_a_killed_trainer_is_started_again_as_the_same_run(plant: Plant) -> None:
    declare(plant)
    plant.advance(15)
    plant.launcher.kill(run_of(plant, "train"))
    plant.advance(60)
    run = plant.get("run", run_of(plant, "train"))
    assert [a.exit.signal for a in run.status.attempts] == [9, None]
    assert run.status.state == "succeeded"
    assert plant.get("model", "digits").status.state == "ready"


def test_a_killed_replica_comes_back_and_the_other_stays(plant: Plant) -> None:
    declare(plant)
    plant.advance(60)
    victim, other = (replica.run for replica in plant.get("service", "digits").status.ready)
    plant.launcher.kill(victim)
    plant.advance(1)
    assert [r.run for r in plant.get("service", "digits").status.ready] == [other]
    plant.advance(10)
    assert len(plant.get("service", "digits").status.ready) == 2


def test_a_replica_that_keeps_dying_is_tried_ever_more_rarely_and_the_service_says_why(
    plant: Plant, world: World
) -> None:
    declare(plant)
    plant.advance(60)
    victim = plant.get("service", "digits").status.ready[0].run
    before = len(plant.launcher.starts)
    for _ in range(600):
        if victim in plant.launcher.running():
            plant.launcher.kill(victim)
        plant.advance(1)
    assert 5 < len(plant.launcher.starts) - before < 25
    service = plant.get("service", "digits")
    assert service.status.state == "degraded"
    assert "killed by signal 9" in service.status.reason


def test_a_run_on_a_lost_node_starts_on_another(plant: Plant) -> None:
    declare(plant)
    plant.advance(15)
    run = run_of(plant, "train")
    lost = plant.get("run", run).status.node
    plant.launcher.lose_node(lost)
    plant.advance(60)
    assert plant.get("node", lost).status.state == "lost"
    assert plant.get("run", run).status.state == "succeeded"
    assert plant.get("run", run).status.node != lost


def test_a_machine_that_fails_every_time_ends_the_run_after_its_retries(plant: Plant, world: World) -> None:
    world.result["train"] = {"problem": {"message": "the disk is gone", "who": "us"}}
    declare(plant)
    plant.advance(300)
    assert attempts(plant, "train") == 4
    assert "the disk is gone" in plant.get("model", "digits").status.reason


@settings(max_examples=40)
@given(st.lists(st.floats(min_value=0.05, max_value=12), min_size=1, max_size=8))
def test_a_control_plane_killed_at_any_moments_ends_in_the_same_state_with_nothing_run_twice(
    moments: list[float],
) -> None:
    world = World()
    nodes = [NodeReport(name="n1", cpus=2.0, memory_bytes=2**33, processor="virtual")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    declare(plant)
    for moment in moments:
        plant.advance(moment)
        plant.restart()
    plant.advance(60)
    assert plant.get("service", "digits").status.state == "ready"
    assert [attempts(plant, stage) for stage in ("prepare", "train", "evaluate", "serving")] == [1, 1, 1, 2]


def test_a_cancelled_run_stops_and_is_not_started_again(plant: Plant) -> None:
    declare(plant)
    plant.advance(15)
    run = run_of(plant, "train")
    plant.cancel(run)
    plant.advance(60)
    assert plant.get("run", run).status.state == "cancelled"
    assert attempts(plant, "train") == 1
    assert "cancelled" in plant.get("model", "digits").status.reason


def test_deleting_a_failed_run_tries_again(plant: Plant, world: World) -> None:
    world.result["train"] = {"problem": {"message": "full disk", "who": "caller"}}
    declare(plant)
    plant.advance(60)
    assert plant.get("model", "digits").status.state == "failed"
    del world.result["train"]
    plant.delete("run", run_of(plant, "train"))
    plant.advance(60)
    assert plant.get("model", "digits").status.state == "ready"


@pytest.mark.parametrize("kind", ["model", "service"])
def test_what_is_not_done_yet_says_what_it_waits_for(plant: Plant, kind: str) -> None:
    declare(plant)
    plant.advance(2)
    assert plant.get(kind, "digits").status.state == "waiting"
    assert "digits is" in plant.get(kind, "digits").status.reason


def test_a_run_stopped_with_the_hall_goes_on_and_counts_no_failure(plant: Plant) -> None:
    declare(plant)
    plant.advance(15)
    name = run_of(plant, "train")
    for number in range(1, 6):
        asyncio.run(plant.launcher.stop(attempt_id(plant.get("run", name)), 1.0))
        plant.advance(1)
        assert plant.get("run", name).status.attempt == number + 1
    plant.advance(60)
    status = plant.get("run", name).status
    assert (status.state, status.failures, status.problem) == ("succeeded", 0, None)
