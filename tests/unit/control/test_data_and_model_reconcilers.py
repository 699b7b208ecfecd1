"""From a source to a version of a data set, and from that to an accepted version of a model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from facts import NOW, created, notes, of, removed, resource, run, stage, status_of, view_of
from odd_stores import InterruptedStore

from modelhall.control import datasets, models, nodes, work
from modelhall.control.actions import Action, Create, Update, Wake
from modelhall.control.view import View
from modelhall.control.work import Work
from modelhall.core.kinds import Dataset, Key, Model, Node, Problem, Result
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import ModelResource, Network
from modelhall.core.kinds.result import result_name
from modelhall.core.kinds.run import RunResource
from modelhall.core.orders import PrepareOrder
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.store import Change, Put

KEY, EVALUATE_KEY = "ab" * 32, "cd" * 32
DATA = DatasetVersion(
    id="d1",
    artifact="da",
    run="r",
    rows={"train": 8},
    columns=(),
    size_bytes=1,
    sources=(),
    steps=(),
    created_at=0,
)
TRAINED = Result(
    name="k-t", run="train-run", output={"artifact": "w", "size_bytes": 1, "parameters": 2, "steps": 3}
)


def measured(accuracy: float) -> Result:
    return Result(name="k-e", run="evaluate-run", output={"metrics": {"accuracy": accuracy}, "rows": 9})


def model(**status: Any) -> ModelResource:
    document = Model(
        name="m", task="t", data="d", network=Network(family="cnn"), require={"accuracy": ">= 0.9"},
    )  # fmt: skip
    return resource(document, **status)


def facts(
    train: Result | RunResource | None = None,
    evaluate: Result | RunResource | None = None,
    runs: list[RunResource] | None = None,
) -> models.Facts:
    def step(name: str, key: str, found: Result | RunResource | None) -> Work:
        result = found if isinstance(found, Result) else None
        return Work(stage=name, key=key, result=result, run=None if result else found)  # type: ignore[arg-type]

    second = step("evaluate", EVALUATE_KEY, evaluate) if isinstance(train, Result) else None
    return models.Facts(
        waits="", data=DATA, train=step("train", KEY, train), evaluate=second, runs=runs or []
    )


def decide(of: ModelResource, seen: models.Facts) -> list[Action]:
    return models.reconcile(of, seen, NOW)


def test_a_model_without_data_says_what_it_waits_for() -> None:
    seen = models.Facts(waits="dataset d is preparing", data=None, train=None, evaluate=None, runs=[])
    status = status_of(decide(model(), seen), model())
    assert (status.state, status.reason) == ("waiting", "dataset d is preparing")


def test_what_was_never_computed_gets_a_run_and_what_is_being_computed_gets_none() -> None:
    actions = decide(model(), facts())
    assert created(actions) == ["m-train-abababab"]
    assert of(Create, actions)[0].document.stage.key == KEY  # type: ignore[attr-defined]
    assert created(decide(model(), facts(run("m-train-abababab", stage=stage("train", KEY))))) == []


def test_a_result_is_used_whoever_computed_it() -> None:
    assert created(decide(model(), facts(TRAINED))) == ["m-evaluate-cdcdcdcd"]


def test_a_version_that_meets_its_requirement_is_accepted_and_one_that_does_not_is_kept_as_refused() -> None:
    actions = decide(model(), facts(TRAINED, measured(0.95)))
    status = status_of(actions, model())
    assert (status.state, status.version, status.accepted.id) == ("ready", KEY, KEY)
    assert notes(actions) == ["model.accepted"]
    actions = decide(model(), facts(TRAINED, measured(0.85)))
    status = status_of(actions, model())
    assert (status.state, status.version, status.accepted) == ("refused", KEY, None)
    assert "accuracy 0.85 < 0.9" in status.reason
    assert status.versions[0].refusal == "accuracy 0.85 < 0.9"


def test_a_version_is_judged_once_and_looking_again_changes_nothing() -> None:
    status = status_of(decide(model(), facts(TRAINED, measured(0.95))), model())
    settled = model().model_copy(update={"status": status})
    assert decide(settled, facts(TRAINED, measured(0.95))) == []


def test_a_run_that_failed_is_told_with_the_way_to_try_again() -> None:
    failed = run("m-train-abababab", state="failed", stage=stage("train", KEY))
    failed = failed.with_status(problem=Problem(message="the disk is gone", who="us"))
    status = status_of(decide(model(), facts(failed)), model())
    assert status.state == "failed"
    assert "`hall delete run m-train-abababab` tries again" in status.reason


def test_runs_nobody_asks_for_any_more_are_removed_and_finished_ones_are_kept() -> None:
    def of_key(name: str, key: str, **fields: Any) -> RunResource:
        return run(name, stage=stage("train", key), **fields)

    others = [
        of_key("wanted", KEY), of_key("old", "11"), of_key("queued", "22", state="queued"),
        of_key("done", "33", state="succeeded"), of_key("failed", "44", state="failed"),
        of_key("leaving", "55", deleting=True),
    ]  # fmt: skip
    assert removed(decide(model(), facts(others[0], runs=others))) == ["old", "queued"]


def test_a_run_that_is_being_removed_is_waited_for_and_not_made_again_beside_it() -> None:
    leaving = run("m-train-abababab", stage=stage("train", KEY), state="failed", deleting=True)
    actions = decide(model(), facts(leaving))
    assert created(actions) == []
    status = status_of(actions, model())
    assert (status.state, status.problem) == ("training", None)
    assert "is being removed" in status.reason


def look_up(*there: RunResource | Result, owner: str = "m") -> Work:
    """What is known of the training of model `owner` when these are stored."""
    view = view_of(*(resource(one) if isinstance(one, Result) else one for one in there))
    return asyncio.run(work.look_up(view, Key("model", "default", owner), "train", KEY))


OWN = "m-train-abababab"


def test_the_owners_own_run_is_preferred_and_anothers_only_while_it_can_still_succeed() -> None:
    def found(*runs: RunResource) -> str | None:
        run = look_up(*runs).run
        return run.key.name if run else None

    own = run(OWN, owner="model/default/m", stage=stage("train", KEY), state="failed")
    for state in ("waiting", "queued", "starting", "running"):
        other = run("a", owner="model/default/x", stage=stage("train", KEY), state=state)
        assert (found(other), found(other, own)) == ("a", OWN)
        assert found(other.model_copy(update={"deleting": True})) is None
    for state in ("failed", "cancelled"):
        assert found(run("a", owner="model/default/x", stage=stage("train", KEY), state=state)) is None
    assert found(run("a", project="team", owner="model/team/x", stage=stage("train", KEY))) is None


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed", "cancelled"])
def test_an_owners_own_run_is_found_by_its_name_also_when_it_is_over(state: str) -> None:
    own = run(OWN, owner="model/default/m", stage=stage("train", KEY), state=state)
    found = look_up(own).run
    assert found is not None
    assert found.status.state == state
    assert created(work.start(Key("model", "default", "m"), look_up(own), PrepareOrder.of(DATASET.document),
                              model().document.resources)) == []  # fmt: skip


def test_a_run_of_that_name_that_was_made_for_another_is_not_taken_for_the_owners_own() -> None:
    assert look_up(run(OWN, owner="model/default/x", stage=stage("train", KEY), state="failed")).run is None
    assert look_up(run(OWN, state="succeeded")).run is None


@pytest.mark.parametrize("has_own", [False, True])
def test_an_owner_looks_again_when_anothers_run_that_it_waits_for_ends(has_own: bool) -> None:
    owner = Key("model", "default", "m")
    other = run("a", owner="model/default/x", stage=stage("train", KEY))
    own = [run(OWN, owner=owner.path, stage=stage("train", KEY))] if has_own else []
    view = view_of(other, *own)
    asyncio.run(work.look_up(view, owner, "train", KEY))
    waits = owner in view.concerned(other.key, other, other.with_status(state="failed"))
    assert waits is not has_own, "one that has a run of its own waits for nobody"


@pytest.mark.parametrize("place", [1, 2])
def test_a_run_of_another_that_ends_while_it_is_looked_for_is_not_taken_for_one_that_never_was(
    place: int,
) -> None:
    store = InterruptedStore()
    other = run("a", owner="model/default/x", stage=stage("train", KEY))
    (other,) = asyncio.run(store.commit([Put(resource=other.model_copy(update={"revision": 0}))]))
    view = View(store)
    asyncio.run(view.load())

    async def end() -> None:
        result = resource(TRAINED.model_copy(update={"name": result_name(KEY)}))
        over = other.with_status(state="succeeded")
        new = [Put(resource=over), Put(resource=result.model_copy(update={"revision": 0}))]
        for one in await store.commit(new):
            view.apply(Change(revision=one.revision, key=one.key, resource=one))

    store.interrupt(place, end)
    found = asyncio.run(work.look_up(view, Key("model", "default", "m"), "train", KEY))
    assert found.result or found.run


def test_runs_for_owners_with_long_names_that_begin_alike_have_names_of_their_own() -> None:
    order, resources = PrepareOrder.of(DATASET.document), model().document.resources

    def name(owner: str, stage: str = "evaluate") -> str:
        unknown = Work(stage=stage, key=KEY, result=None, run=None)
        (name,) = created(work.start(Key("model", "default", owner), unknown, order, resources))
        return name

    assert len({name("m" * 62 + end) for end in "abc"} | {name("m" * 40)}) == 4
    assert name("m" * 40).startswith("m" * 40), "one that fits is there in full"


def test_what_was_computed_is_found_in_the_store_when_its_run_is_long_gone() -> None:
    result = TRAINED.model_copy(update={"name": result_name(KEY)})
    assert look_up(result).result == result
    assert look_up(result.model_copy(update={"project": "team"})).result is None
    assert look_up().result is None


DATASET = resource(Dataset(name="d", source="a.csv"))


def look(
    result: Result | None = None, run: RunResource | None = None, problem: Problem | None = None
) -> datasets.Facts:
    prepare = None if problem else Work(stage="prepare", key=KEY, result=result, run=run)
    return datasets.Facts(problem=problem, order=PrepareOrder.of(DATASET.document), prepare=prepare, runs=[])


def test_a_data_set_is_looked_at_again_and_again_whatever_was_found() -> None:
    output = {
        "version": "v1",
        "artifact": "x",
        "rows": {"train": 1},
        "columns": [],
        "size_bytes": 1,
        "sources": [],
        "steps": [],
    }
    ready = look(Result(name="k-p", run="p", output=output))
    for seen, state in [
        (look(), "preparing"), (ready, "ready"), (look(problem=Problem(message="no file", who="caller")), "failed"),
    ]:  # fmt: skip
        actions = datasets.reconcile(DATASET, seen, NOW)
        assert of(Wake, actions) == [Wake(key=DATASET.key, after_s=datasets.LOOK_AGAIN_S)]
        assert status_of(actions, DATASET).state == state


def test_a_source_that_is_gone_keeps_the_versions_there_are() -> None:
    before = resource(DATASET.document, version="d1", versions=(DATA,), state="ready")
    seen = look(problem=Problem(message="no file", who="caller"))
    status = status_of(datasets.reconcile(before, seen, NOW), before)
    assert (status.state, status.reason, status.versions) == ("failed", "no file", (DATA,))


def report(name: str, cpus: float = 4.0) -> NodeReport:
    return NodeReport(name=name, cpus=cpus, memory_bytes=2**30, processor="virtual")


def node_actions(
    view: View, *reports: NodeReport, silent_s: float | None = None, now: float = NOW
) -> list[Action]:
    return nodes.reconcile(view, reports, {} if silent_s is None else {"n": silent_s}, {}, now)


def seen_node(**status: Any) -> View:
    return view_of(resource(Node(name="n"), **status))


READY = {"state": "ready", "cpus": 4.0, "memory_bytes": 2**30, "processor": "virtual", "last_seen_at": NOW}


def test_a_new_machine_becomes_a_node_and_then_ready() -> None:
    assert created(node_actions(view_of(), report("b"), report("a"))) == ["a", "b"]
    actions = node_actions(seen_node(), report("n"))
    assert notes(actions) == ["node.ready"]


@pytest.mark.parametrize(
    ("silent_s", "lost"), [(0, False), (nodes.LOST_AFTER_S, False), (nodes.LOST_AFTER_S + 1, True)]
)
def test_a_node_is_lost_only_after_it_has_not_been_heard_of_for_long(silent_s: float, lost: bool) -> None:
    assert notes(node_actions(seen_node(**READY), silent_s=silent_s)) == (["node.lost"] if lost else [])


def test_a_node_that_its_launcher_knows_to_be_gone_is_lost_at_once_with_the_reason() -> None:
    gone = replace(report("n"), ready=False, unfit="Ray says that the node is dead")
    actions = node_actions(seen_node(**READY), gone, silent_s=0.0)
    assert notes(actions) == ["node.lost"]
    assert status_of(actions, seen_node(**READY).get(Key("node", "default", "n"))).reason == gone.unfit
    lost = seen_node(**{**READY, "state": "lost"})
    assert node_actions(lost, gone, silent_s=0.0) == [], "it is told once"


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_loses_no_node(jump_s: float) -> None:
    assert notes(node_actions(seen_node(**READY), silent_s=0.0, now=NOW + jump_s)) == []
    assert notes(node_actions(seen_node(**READY), report("n"), now=NOW + jump_s)) == []


def test_a_node_that_reports_that_it_is_not_ready_is_as_silent_as_one_that_reports_nothing() -> None:
    unready = replace(report("n"), ready=False)
    for silent_s, said in ((1.0, []), (nodes.LOST_AFTER_S + 1, ["node.lost"])):
        assert notes(node_actions(seen_node(**READY), unready, silent_s=silent_s)) == said


def test_a_lost_node_that_is_back_is_ready_and_one_that_stays_away_is_told_once() -> None:
    view = seen_node(**{**READY, "state": "lost"})
    assert notes(node_actions(view, report("n"))) == ["node.ready"]
    assert node_actions(view, silent_s=1e6) == []


def test_a_beat_that_says_nothing_new_is_written_rarely_and_news_at_once() -> None:
    assert node_actions(seen_node(**READY), report("n"), now=NOW + 1) == []
    assert of(Update, node_actions(seen_node(**READY), report("n"), now=NOW + nodes.LOST_AFTER_S / 2))
    assert of(Update, node_actions(seen_node(**READY), report("n", cpus=8), now=NOW + 1))
