"""Trainings over several nodes, in a whole hall on virtual time: all placed or none, and what comes of losses."""

from __future__ import annotations

import pytest
from virtual_hall import HALL_FILE, World, declare

from modelhall.control.runs import attempt_id
from modelhall.core.gang_key import GANG_KEY
from modelhall.core.kinds import Project, Resources, Run
from modelhall.core.kinds.project import Quota
from modelhall.core.kinds.run import ACTIVE, RunResource
from modelhall.core.ports.launcher import NodeReport, Observation
from modelhall.ledger.reading import readings_of
from modelhall.twin.plant import Plant

GANG = HALL_FILE.replace("family: cnn}", "family: cnn}\nresources: {cpus: 1, workers: 2}")


@pytest.fixture
def plant(world: World) -> Plant:
    """Three nodes of one processor each; a training takes a minute."""
    nodes = [NodeReport(name=name, cpus=1.0, memory_bytes=2**33, processor="one") for name in ("a", "b", "c")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    plant.advance(1)
    declare(plant, GANG)
    plant.advance(9)
    world.takes_s = 60.0
    plant.advance(3)
    return plant


def runs(plant: Plant, program: str) -> list[RunResource]:
    there = [run for run in plant.all("run") if run.document.stage is not None]
    return [run for run in there if run.document.stage.program == program]


def training(plant: Plant) -> RunResource:
    (run,) = runs(plant, "train")
    return run


def lender(plant: Plant) -> RunResource:
    (run,) = runs(plant, "lend")
    return run


def placed(plant: Plant) -> dict[str, str]:
    """Which program is at work on which node."""
    return {
        launch.node: launch.argv[2].rpartition(".")[2]
        for launch in plant.launcher.starts
        if launch.run in plant.launcher.running()
    }


def test_a_training_for_which_no_node_has_room_alone_runs_on_two(plant: Plant) -> None:
    led, lent = training(plant), lender(plant)
    assert (led.status.state, lent.status.state) == ("running", "running")
    assert (led.status.node, lent.status.node) == ("a", "b")
    assert led.status.reason == "attempt 1 on node a with 2 workers, 1 of them lent by other nodes"
    assert lent.status.reason == f"attempt 1 on node b lends a worker to {led.key.name}"
    by_program = {launch.argv[2].rpartition(".")[2]: launch for launch in plant.launcher.starts}
    assert by_program["train"].workers == by_program["lend"].workers == 1
    assert by_program["train"].hall_secrets == by_program["lend"].hall_secrets == (GANG_KEY,)
    assert by_program["lend"].order is not None
    assert by_program["lend"].order["leader"] == led.status.address, "it is started when that is known"


def test_what_is_lent_is_gone_when_the_training_is_over_and_was_paid_for_by_its_model(plant: Plant) -> None:
    seen = {attempt_id(lender(plant)): Observation(alive=True, cpu_s=2.0)}
    (reading,) = readings_of(lender(plant), seen, 100.0)
    assert reading.model == "model/default/digits"
    plant.advance(62)
    assert training(plant).status.state == "succeeded"
    plant.advance(2)
    assert runs(plant, "lend") == []


def test_all_workers_are_placed_or_none(world: World) -> None:
    nodes = [NodeReport(name=name, cpus=1.0, memory_bytes=2**33, processor="one") for name in ("a", "b")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    declare(plant, GANG)
    plant.advance(9)
    plant.apply(Run(name="other", command=("work",), resources=Resources(cpus=1)))
    plant.advance(4)
    assert training(plant).status.state == "queued"
    assert "waits for 2 CPUs for 2 workers" in training(plant).status.reason
    assert runs(plant, "lend") == []
    plant.advance(10)
    assert (training(plant).status.state, lender(plant).status.state) == ("running", "running")


def test_for_how_many_workers_there_would_ever_be_room_is_told(world: World) -> None:
    nodes = [NodeReport(name=name, cpus=1.0, memory_bytes=2**33, processor="one") for name in ("a", "b")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    declare(plant, GANG.replace("workers: 2", "workers: 3"))
    plant.advance(13)
    assert "asks for 3 CPUs for 3 workers" in training(plant).status.reason
    assert training(plant).status.reason.endswith("all nodes together have room for 2 of them, idle")


def test_a_training_goes_on_when_a_lending_node_is_lost_and_has_another_when_there_is_room(
    plant: Plant,
) -> None:
    plant.apply(Run(name="other", command=("work",), resources=Resources(cpus=1)))
    plant.advance(2)
    plant.launcher.lose_node("b")
    plant.advance(20)
    assert (training(plant).status.state, training(plant).status.attempt) == ("running", 1)
    assert lender(plant).status.state == "queued"
    assert lender(plant).status.reason.startswith(
        f"lends a worker to {training(plant).key.name} once there is room"
    )
    plant.cancel("other")
    plant.advance(5)
    assert (lender(plant).status.state, lender(plant).status.node) == ("running", "c")
    plant.advance(60)
    assert training(plant).status.state == "succeeded"
    assert len(training(plant).status.attempts) == 1


def test_when_the_leading_node_is_lost_all_of_it_starts_again_elsewhere(plant: Plant) -> None:
    first = lender(plant).key
    plant.launcher.lose_node("a")
    plant.advance(20)
    assert (training(plant).status.state, training(plant).status.attempt) == ("running", 2)
    assert {training(plant).status.node, lender(plant).status.node} == {"b", "c"}
    assert lender(plant).key != first
    there = {training(plant).status.node: "train", lender(plant).status.node: "lend"}
    assert placed(plant).items() >= there.items()


@pytest.mark.parametrize("whole", [True, False])
def test_a_hall_that_is_killed_when_a_gang_starts_goes_on_with_all_of_it(world: World, whole: bool) -> None:
    nodes = [NodeReport(name=name, cpus=1.0, memory_bytes=2**33, processor="one") for name in ("a", "b")]
    plant = Plant(nodes=nodes, script=world.script, sources={"digits.csv": "v1"})
    declare(plant, GANG)
    while not runs(plant, "lend"):
        plant.advance(0.05)
    if whole:
        plant.advance(1)
    plant.restart()
    plant.advance(5)
    assert sorted(placed(plant).values()) == ["lend", "train"]
    assert training(plant).status.attempt == lender(plant).status.attempt == 1


def test_who_cancels_a_training_ends_what_is_lent_to_it(plant: Plant) -> None:
    plant.cancel(training(plant).key.name)
    plant.advance(3)
    assert training(plant).status.state == "cancelled"
    assert runs(plant, "lend") == []
    assert placed(plant) == {}


def test_who_deletes_a_training_deletes_what_is_lent_to_it(plant: Plant) -> None:
    for kind in ("service", "model"):
        plant.delete(kind, "digits")
        plant.advance(3)
    assert runs(plant, "train") == runs(plant, "lend") == []
    assert placed(plant) == {}


def test_who_cancels_what_is_lent_takes_it_from_the_training_which_goes_on(plant: Plant) -> None:
    plant.cancel(lender(plant).key.name)
    plant.advance(3)
    assert runs(plant, "lend") == []
    assert training(plant).status.state == "running"


def test_a_lender_that_fails_is_tried_again_and_never_ends_the_training(plant: Plant, world: World) -> None:
    world.takes_s = 1.0
    world.result["lend"] = {"problem": {"message": "the disk is full", "who": "caller"}}
    plant.launcher.kill(lender(plant).key.name)
    plant.advance(30)
    assert lender(plant).status.failures > 2
    assert lender(plant).status.state in ("waiting", "queued", *ACTIVE)
    assert training(plant).status.attempt == 1
    plant.advance(30)
    assert training(plant).status.state == "succeeded"
    assert runs(plant, "lend") == []


def test_a_gang_makes_room_as_a_whole_and_goes_on_later(plant: Plant) -> None:
    urgent = [
        Run(name=name, priority=200, command=("work",), resources=Resources(cpus=1)) for name in ("x", "y")
    ]
    plant.apply(*urgent)
    plant.advance(5)
    assert {plant.get("run", name).status.state for name in ("x", "y")} == {"running"}
    assert training(plant).status.state == "queued"
    assert training(plant).status.failures == 0
    assert runs(plant, "lend") == []
    plant.advance(200)
    assert training(plant).status.state == "succeeded"


def test_a_gang_counts_in_its_quota_with_all_its_workers(plant: Plant) -> None:
    plant.apply(Project(name="default", quota=Quota(cpus=2)))
    plant.apply(Run(name="more", command=("work",), resources=Resources(cpus=1)))
    plant.advance(2)
    assert "holds 2 of its 2 CPUs" in plant.get("run", "more").status.reason
