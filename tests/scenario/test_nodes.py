"""Nodes that are cordoned, drained, maintained, unfit, blamed or lost, in a whole hall on virtual time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from virtual_hall import World, declare

from modelhall.app.nodes import Nodes, Wishes
from modelhall.core.access import Identity
from modelhall.core.kinds import Key, Project, Run
from modelhall.core.kinds.node import Window
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.store import Put
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish

NODES = [NodeReport(name=name, cpus=4.0, memory_bytes=2**33, processor="one") for name in ("a", "b")]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def plant(world: World) -> Plant:
    world.takes_s = 100.0
    made = Plant(nodes=NODES, script=world.script, sources={"digits.csv": "one"})
    made.advance(1)
    return made


def say(plant: Plant, node: str, **wishes: Any) -> None:
    """What an operator says of a node."""
    found = plant.get("node", node)
    assert found is not None
    document = found.document.model_copy(update=wishes)
    finish(plant.store.commit([Put(resource=found.model_copy(update={"document": document}))]))


def state(plant: Plant, kind: str, name: str) -> str:
    found = plant.get(kind, name)
    assert found is not None
    return found.status.state


def on(plant: Plant, run: str) -> str | None:
    found = plant.get("run", run)
    assert found is not None
    return found.status.node


def test_nothing_new_is_started_on_a_cordoned_node_and_what_runs_there_goes_on(plant: Plant) -> None:
    plant.apply(Run(name="before", command=("x",)))
    plant.advance(5)
    assert on(plant, "before") == "a"
    say(plant, "a", cordoned=True)
    plant.advance(5)
    plant.apply(Run(name="after", command=("x",)))
    plant.advance(5)
    assert (state(plant, "node", "a"), on(plant, "before"), on(plant, "after")) == ("cordoned", "a", "b")
    say(plant, "a", cordoned=False)
    plant.advance(5)
    assert state(plant, "node", "a") == "ready"


def test_what_runs_on_a_drained_node_moves_and_loses_no_try_by_it(plant: Plant) -> None:
    plant.apply(Run(name="moves", command=("x",), retries=0))
    plant.advance(5)
    say(plant, "a", drained=True)
    plant.advance(10)
    assert (on(plant, "moves"), state(plant, "run", "moves")) == ("b", "running")
    assert state(plant, "node", "a") == "drained"
    run = plant.get("run", "moves")
    assert run is not None
    assert (run.status.failures, run.status.attempt) == (0, 2)


def test_replicas_leave_a_drained_node_one_after_the_other(world: World, plant: Plant) -> None:
    world.takes_s = 1.0
    say(plant, "b", cordoned=True)
    declare(plant)
    plant.advance(60)
    say(plant, "b", cordoned=False)
    plant.advance(5)
    service = plant.get("service", "digits")
    assert service is not None
    assert len(service.status.ready) == 2
    assert {on(plant, replica.run) for replica in service.status.replicas} == {"a"}
    say(plant, "a", drained=True)
    fewest = 2
    for _ in range(100):
        plant.advance(0.2)
        service = plant.get("service", "digits")
        assert service is not None
        fewest = min(fewest, len(service.status.ready))
    assert fewest == 1, "somebody answers all the time"
    assert {on(plant, replica.run) for replica in service.status.replicas} == {"b"}
    assert state(plant, "node", "a") == "drained"


def test_a_node_is_empty_while_it_is_maintained_and_is_used_again_by_itself(plant: Plant) -> None:
    plant.apply(Run(name="moves", command=("x",)))
    plant.advance(5)
    now = plant.clock.now()
    window = Window(starts_at=now + 10, ends_at=now + 40, reason="new fans")
    say(plant, "a", windows=(window,))
    plant.advance(5)
    assert (state(plant, "node", "a"), on(plant, "moves")) == ("ready", "a")
    plant.advance(20)
    assert (state(plant, "node", "a"), on(plant, "moves")) == ("drained", "b")
    assert plant.all("node")[0].status.reason == "new fans"
    plant.advance(20)
    assert state(plant, "node", "a") == "ready"


def test_on_a_node_that_is_not_what_it_says_nothing_is_started(plant: Plant) -> None:
    plant.launcher._nodes["a"] = replace(NODES[0], unfit="it says 4 GPUs and answers for none")
    plant.advance(5)
    plant.apply(Run(name="r", command=("x",)))
    plant.advance(5)
    assert (state(plant, "node", "a"), on(plant, "r")) == ("quarantined", "b")
    assert "answers for none" in plant.all("node")[0].status.reason


def test_what_ran_on_a_lost_node_is_started_elsewhere_and_the_node_is_used_when_it_is_back(
    plant: Plant,
) -> None:
    plant.apply(Run(name="r", command=("x",)))
    plant.advance(5)
    plant.launcher.lose_node("a")
    plant.advance(20)
    assert (state(plant, "node", "a"), on(plant, "r")) == ("lost", "b")
    plant.launcher.return_node("a")
    plant.advance(5)
    assert state(plant, "node", "a") == "ready"


def test_what_reads_the_halls_own_files_runs_on_its_own_machine() -> None:
    world = World()
    far = replace(NODES[0], launcher="agent")
    plant = Plant(nodes=[far, NODES[1]], script=world.script, sources={"digits.csv": "one"})
    declare(plant)
    plant.advance(60)
    by_stage = {
        launch.argv[2].rpartition(".")[2]: launch.node
        for launch in plant.launcher.starts
        if launch.order is not None
    }
    assert (by_stage["prepare"], by_stage["train"]) == ("b", "a")
    assert plant.get("node", "a") is not None
    assert finish(plant.store.get(Key("node", "default", "a"))).status.launcher == "agent"  # type: ignore[union-attr]


def test_time_in_which_the_hall_itself_stood_still_is_not_held_against_its_nodes(plant: Plant) -> None:
    plant.apply(Run(name="r", command=("x",)))
    plant.advance(5)
    plant.clock.advance(60.0)
    plant.launcher.lose_node("a")
    plant.advance(1)
    assert (state(plant, "node", "a"), on(plant, "r")) == ("ready", "a")
    plant.launcher._nodes["a"] = NODES[0]
    plant.advance(20)
    assert state(plant, "node", "a") == "ready"


def test_a_node_that_got_a_known_answer_wrong_is_emptied_until_somebody_has_it_used_again(
    plant: Plant,
) -> None:
    plant.apply(Run(name="moves", command=("x",)))
    plant.advance(5)
    wrong = "wrong where the answer is known: memory"
    plant.launcher._nodes["a"] = replace(NODES[0], failed_check=wrong)
    plant.advance(10)
    plant.launcher._nodes["a"] = NODES[0]
    plant.advance(30)
    node = plant.all("node")[0]
    assert (node.status.state, node.status.reason, on(plant, "moves")) == ("quarantined", wrong, "b")
    told = [event for event in plant.events() if event.message == wrong]
    assert [event.name for event in told] == ["node.draining", "node.quarantined"]
    have_used_again(plant, "a")
    assert state(plant, "node", "a") == "ready"


def test_a_node_on_which_what_works_elsewhere_fails_is_named_and_emptied(world: World, plant: Plant) -> None:
    for number in range(8):
        name = f"p{number % 4}"
        plant.apply(Project(name=name), Run(name=f"r{number}", project=name, command=("x",), retries=9))
    world.takes_s = 20.0
    for _ in range(60):
        plant.advance(2)
        kill_all(plant, on="a")
    node = plant.all("node")[0]
    assert (node.status.state, plant.all("node")[1].status.state) == ("quarantined", "ready")
    assert re.match(r"\d+ of its last \d+ attempts failed by no fault.*elsewhere 0 of", node.status.reason)
    assert all(run.status.state == "succeeded" for run in plant.all("run"))
    have_used_again(plant, "a")
    assert (state(plant, "node", "a"), plant.all("node")[0].status.endings) == ("ready", ())


def test_one_users_broken_program_has_no_node_blamed_however_often_it_fails(plant: Plant) -> None:
    for number in range(8):
        plant.apply(Run(name=f"r{number}", command=("x",), retries=9))
    for _ in range(60):
        plant.advance(2)
        kill_all(plant)
    assert {node.status.state for node in plant.all("node")} == {"ready"}


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ({"cpus": float("nan")}, "CPUs"),
        ({"cpus": -2.0}, "CPUs"),
        ({"cpus": 1e9}, "CPUs"),
        ({"memory_bytes": 2**60}, "memory"),
        ({"memory_bytes": -1}, "memory"),
        ({"gpus": 10**6, "gpu_type": "H100"}, "GPUs"),
        ({"gpu_type": "H100"}, "GPUs"),
    ],
)
def test_a_node_that_cannot_be_what_it_says_gets_no_work_and_counts_for_nothing(
    plant: Plant, lie: dict[str, Any], word: str
) -> None:
    plant.launcher._nodes["a"] = replace(NODES[0], **lie)
    plant.advance(5)
    plant.apply(Run(name="r", command=("x",)))
    plant.advance(5)
    node = plant.all("node")[0]
    assert (node.status.state, on(plant, "r")) == ("quarantined", "b")
    assert word in node.status.reason
    assert (node.status.cpus, node.status.memory_bytes, node.status.gpus) == (0, 0, 0)
    plant.launcher._nodes["a"] = NODES[0]
    plant.advance(5)
    assert state(plant, "node", "a") == "ready"


def kill_all(plant: Plant, on: str | None = None) -> None:
    """Kill -9 what runs; on one node, if it is given."""
    for run in plant.all("run"):
        if run.status.state == "running" and on in (None, run.status.node):
            plant.launcher.kill(run.key.name)


def have_used_again(plant: Plant, name: str) -> None:
    """What `hall node uncordon` does."""
    nodes = Nodes(plant.store, b"key", plant.clock, lambda: "u")
    finish(nodes.tell(name, Wishes(cordoned=False), Identity(name="token default/op", project="default")))
    plant.advance(5)
