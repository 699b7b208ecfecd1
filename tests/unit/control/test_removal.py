"""Who goes when: last what others need, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest
from facts import of, removed, resource, run, status_of, view_of

from modelhall.adapters.launcher.virtual import Script
from modelhall.control import removal
from modelhall.control.actions import Action, Remove
from modelhall.control.view import View
from modelhall.core.kinds import AnyResource, Dataset, Key, Model, Project, Result, Run, Service
from modelhall.core.kinds.model import Network
from modelhall.core.ports.launcher import Launch, NodeReport
from modelhall.core.ports.store import Put
from modelhall.twin.plant import Plant

DATASET = resource(Dataset(name="d", source="/data.csv"))
MODEL = resource(Model(name="m", task="image-classification", data="d", network=Network(family="cnn")))
SERVICE = resource(Service(name="s", model="m"))
TEAM = resource(Project(name="team"))
RESULT = resource(Result(name="k-1", project="team", run="r", output={}))


def going(resource: AnyResource) -> AnyResource:
    return resource.model_copy(update={"deleting": True})


def decide(resource: AnyResource, view: View) -> list[Action]:
    return removal.reconcile(resource, asyncio.run(removal.observe(resource, view)))


def step(resource: AnyResource, *others: AnyResource) -> list[Action]:
    """The next step for one that is to go, beside others that are stored."""
    return decide(going(resource), view_of(going(resource), *others))


@pytest.mark.parametrize("owner", [DATASET, MODEL, SERVICE], ids=["dataset", "model", "service"])
def test_a_resource_goes_after_its_runs_also_those_that_are_over(owner: AnyResource) -> None:
    path = owner.key.path
    runs = [
        run("a", owner=path),
        run("b", owner=path, state="succeeded"),
        run("c", owner=path, deleting=True),
    ]
    assert removed(step(owner, *runs)) == ["a", "b"]
    assert step(owner, *(going(run) for run in runs)) == [], "they are on their way"
    assert removed(step(owner)) == [owner.key.name]


def test_another_ones_runs_stay() -> None:
    others = [
        run("theirs", owner="model/default/n"),
        run("nobodys"),
        run("far", owner="model/team/m", project="team"),
    ]
    assert removed(step(MODEL, *others)) == ["m"]


def test_what_is_named_by_another_stays_says_for_whom_and_goes_when_that_goes() -> None:
    actions = step(MODEL, SERVICE)
    assert of(Remove, actions) == []
    assert status_of(actions, MODEL).reason == "is removed when service s no longer needs it"
    other = resource(Service(name="t", model="m"))
    assert "service s and 1 more" in status_of(step(MODEL, SERVICE, other), MODEL).reason
    assert removed(step(MODEL, going(SERVICE))) == ["m"]


def test_a_reason_that_was_given_is_not_given_again() -> None:
    told = going(MODEL).with_status(
        reason="is removed when service s no longer needs it", observed_generation=1
    )
    assert decide(told, view_of(told, SERVICE)) == []


def test_a_project_goes_with_what_was_computed_in_it() -> None:
    elsewhere = resource(Result(name="k-2", run="r", output={}))
    assert removed(step(TEAM, RESULT, elsewhere)) == ["k-1", "team"]


@pytest.mark.parametrize("state", ["queued", "running", "succeeded"])
def test_a_project_stays_as_long_as_there_is_a_run_in_it_and_so_do_its_results(state: str) -> None:
    actions = step(TEAM, RESULT, run("r", project="team", state=state))
    assert of(Remove, actions) == []
    assert status_of(actions, TEAM).reason == "is removed when run team/r no longer needs it"


def hall() -> Plant:
    node = NodeReport(name="n1", cpus=4.0, memory_bytes=2**33, processor="virtual")

    def script(launch: Launch) -> Script:
        return Script(takes_s=60.0)

    return Plant(nodes=[node], script=script, sources={"/data.csv": "1", "/other.csv": "2"})


def mark(plant: Plant, kind: str, name: str) -> None:
    """Have it removed, as somebody does who does not know by whom it is named."""
    found = plant.get(kind, name)
    assert found is not None
    asyncio.run(plant.store.commit([Put(resource=going(found))]))


def test_a_data_set_that_waits_for_a_model_goes_as_soon_as_that_names_another_one() -> None:
    plant = hall()
    plant.apply(DATASET.document, MODEL.document, Dataset(name="other", source="/other.csv"))
    plant.advance(1)
    mark(plant, "dataset", "d")
    plant.advance(30)
    held = plant.get("dataset", "d")
    assert held is not None
    assert held.status.reason == "is removed when model m no longer needs it"
    plant.apply(MODEL.document.model_copy(update={"data": "other"}))
    plant.advance(1)
    assert plant.get("dataset", "d") is None


def test_a_whole_project_goes_once_everything_in_it_is_asked_to_go() -> None:
    plant = hall()
    team = [
        document.document.model_copy(update={"project": "team"}) for document in (DATASET, MODEL, SERVICE)
    ]
    plant.apply(TEAM.document, *team, Run(name="r", project="team", command=("work",)))
    plant.advance(70)
    everything = [("project", "default", "team"), ("run", "team", "r")]
    everything += [(document.kind, "team", document.name) for document in team]
    for key in everything:
        found = asyncio.run(plant.store.get(Key(*key)))
        assert found is not None
        asyncio.run(plant.store.commit([Put(resource=going(found))]))
    plant.advance(30)
    kinds = ("project", "dataset", "model", "service", "run", "result")
    assert {kind: plant.all(kind) for kind in kinds} == {kind: [] for kind in kinds}


def test_a_removal_goes_on_where_a_killed_hall_left_it() -> None:
    plant = hall()
    plant.apply(DATASET.document, MODEL.document)
    plant.advance(5)
    for kind, name in (("model", "m"), ("dataset", "d")):
        plant.delete(kind, name)
        plant.restart()
    plant.advance(30)
    assert plant.all("dataset") + plant.all("model") + plant.all("run") == []
