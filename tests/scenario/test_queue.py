"""Who starts when, and what those who wait are told, on virtual time."""

from __future__ import annotations

import pytest
from virtual_hall import HALL_FILE, declare

from modelhall.control.declare import Refusal
from modelhall.core.kinds import Dataset, Project, Resources, Run, Service
from modelhall.core.kinds.project import Quota
from modelhall.core.kinds.run import RunStatus
from modelhall.twin.plant import Plant


def command(name: str, cpus: float = 1, **fields: object) -> Run:
    return Run(name=name, command=("work",), resources=Resources(cpus=cpus), **fields)  # type: ignore[arg-type]


def state(plant: Plant, name: str) -> str:
    return plant.get("run", name).status.state


def test_runs_fill_the_nodes_and_the_next_one_waits_with_its_reason(plant: Plant) -> None:
    plant.apply(*(command(f"job-{number}", cpus=2) for number in range(3)))
    plant.advance(1)
    assert [state(plant, f"job-{number}") for number in range(3)] == ["running", "running", "queued"]
    reason = plant.get("run", "job-2").status.reason
    assert "waits for 2 CPUs" in reason
    assert "used by job-" in reason
    plant.advance(12)
    assert state(plant, "job-2") == "running"


def test_a_higher_priority_goes_first(plant: Plant) -> None:
    plant.apply(command("first", 2), command("second", 2))
    plant.advance(1)
    plant.apply(command("low", 2), command("high", 2, priority=5))
    plant.advance(11)
    assert (state(plant, "high"), state(plant, "low")) == ("running", "running")
    order = [launch.run for launch in plant.launcher.starts]
    assert order.index("high") < order.index("low")


def test_a_small_run_does_not_overtake_a_large_one_that_waits(plant: Plant) -> None:
    plant.apply(command("a", 1), command("b", 1), command("c", 1))
    plant.advance(1)
    plant.apply(command("large", 2))
    plant.advance(1)
    plant.apply(command("small", 1))
    plant.advance(1)
    assert (state(plant, "large"), state(plant, "small")) == ("queued", "queued")


def test_what_no_node_can_hold_is_refused_with_the_largest_there_is(plant: Plant) -> None:
    plant.advance(1)
    with pytest.raises(Refusal, match="the largest node, n1, has 2") as caught:
        plant.apply(command("giant", 64))
    assert caught.value.reason.field == "resources"


def test_what_was_asked_for_before_its_node_was_gone_says_so_and_holds_nobody_up(plant: Plant) -> None:
    plant.apply(command("giant", 64), command("small", 1))
    plant.advance(1)
    assert "the largest node, n1, has 2" in plant.get("run", "giant").status.reason
    assert state(plant, "small") == "running"


def test_a_project_over_its_quota_waits_while_another_starts(plant: Plant) -> None:
    plant.apply(Project(name="team", quota=Quota(cpus=1)))
    plant.apply(command("one", project="team"), command("two", project="team"), command("other"))
    plant.advance(1)
    states = {run.key.name: run.status for run in plant.all("run")}
    assert states["other"].state == "running"
    held = [status for status in states.values() if status.state == "queued"]
    assert len(held) == 1
    assert "holds 1 of its 1 CPUs" in held[0].reason


def declare_training(plant: Plant, resources: str) -> None:
    declare(plant, HALL_FILE.replace("family: cnn}", f"family: cnn}}\nresources: {resources}"))


def training(plant: Plant) -> RunStatus:
    (run,) = (run for run in plant.all("run") if "-train-" in run.key.name)
    return run.status


def test_all_workers_of_a_training_count_for_the_node_and_for_those_behind(plant: Plant) -> None:
    declare_training(plant, "{cpus: 1, workers: 2}")
    plant.advance(12)
    gang = training(plant)
    assert (gang.state, gang.workers) == ("running", 2)
    assert gang.reason.endswith("with 2 workers")
    launch = plant.launcher.starts[-1]
    assert (launch.workers, launch.cpus, launch.threads) == (2, 2.0, 1)
    used = {node.key.name: node.status.used_cpus for node in plant.all("node")}
    assert used[gang.node or ""] == 2.0
    plant.apply(command("a"), command("b"), command("c"))
    plant.advance(1)
    assert sorted(state(plant, name) for name in "abc") == ["queued", "running", "running"]


def test_a_training_starts_with_as_many_workers_as_there_is_room_for(plant: Plant) -> None:
    declare_training(plant, "{cpus: 1, workers: {min: 1, max: 2}}")
    plant.advance(9)
    plant.apply(command("a"), command("b"), command("c"))
    plant.advance(3)
    status = training(plant)
    assert (status.state, status.workers) == ("running", 1)


def test_only_a_training_has_workers() -> None:
    with pytest.raises(ValueError, match="a run is one process"):
        Run(name="a", command=("true",), resources=Resources.model_validate({"workers": 2}))
    with pytest.raises(ValueError, match="`replicas` says"):
        Service(name="a", model="m", resources=Resources.model_validate({"workers": 2}))
    with pytest.raises(ValueError, match="more `cpus`"):
        Dataset(name="a", source="a.csv", resources=Resources.model_validate({"workers": 2}))
    with pytest.raises(ValueError, match="min is at most max"):
        Resources.model_validate({"workers": {"min": 3, "max": 2}})


def test_a_project_claims_back_what_is_its_own_and_the_interrupted_run_goes_on_later(plant: Plant) -> None:
    plant.apply(
        Project(name="owner", quota=Quota(cpus=2, borrow=True)),
        Project(name="guest", quota=Quota(cpus=2, borrow=True)),
    )
    plant.apply(command("one", 2, project="guest"), command("two", 2, project="guest"))
    plant.advance(2)
    plant.apply(command("mine", 2, project="owner"))
    plant.advance(2)
    runs = {run.key.name: run.status for run in plant.all("run")}
    assert runs["mine"].state == "running"
    (waits,) = (status for name, status in runs.items() if name != "mine" and status.state == "queued")
    assert waits.failures == 0
    assert [attempt.exit.stopped for attempt in waits.attempts if attempt.exit] == [True]
    assert any(event.name == "run.makes-room" for event in plant.events())
    plant.advance(60)
    assert {run.status.state for run in plant.all("run")} == {"succeeded"}
    assert sum(event.name == "run.makes-room" for event in plant.events()) == 1


def test_what_a_project_used_is_kept_and_counts_against_it(plant: Plant) -> None:
    plant.apply(Project(name="team"))
    plant.apply(*(command(f"job-{number}", 2, project="team") for number in range(30)))
    plant.advance(130)
    (team,) = (project for project in plant.all("project") if project.key.name == "team")
    assert 0 < team.status.use < 1
    plant.restart()
    plant.apply(command("other", 2))
    plant.advance(12)
    assert state(plant, "other") in ("running", "succeeded")
