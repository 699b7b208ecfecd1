"""What the loop sees: those that are alive in memory, those at rest in the store, and who has to look again."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from facts import resource, run, stage, store_of, view_of
from odd_stores import CountingStore

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control.view import PAGE, View
from modelhall.core.kinds import AnyResource, Dataset, Key, Model, Project, Result, Run, Service, rests
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.result import result_name
from modelhall.core.ports.store import Change, Delete, Put, Store

DATASET = resource(Dataset(name="d", source="/data.csv"))
MODEL = resource(Model(name="m", task="t", data="d", network=Network(family="cnn")))
SERVICE = resource(Service(name="s", model="m"))
OWNER = MODEL.key.path
STATES = ["waiting", "queued", "starting", "running", "succeeded", "failed", "cancelled"]


def put(store: Store, *resources: AnyResource) -> list[AnyResource]:
    return asyncio.run(store.commit([Put(resource=resource) for resource in resources]))


def new(resource: AnyResource) -> AnyResource:
    return resource.model_copy(update={"revision": 0})


def follow(view: View, store: Store, after: int) -> int:
    """Take in all changes; return until where."""
    while changes := asyncio.run(store.changes(after)):
        for change in changes:
            view.apply(change)
        after = changes[-1].revision
    return after


def names(found: list[Any]) -> list[str]:
    return [resource.key.name for resource in found]


def test_what_is_alive_is_there_after_a_start_and_what_is_at_rest_is_not() -> None:
    runs = [run(state, state=state) for state in STATES]
    view = view_of(DATASET, MODEL, SERVICE, *runs, resource(Result(name="k-1", run="r", output={})))
    assert sorted(names(view.of_kind("run"))) == ["queued", "running", "starting", "waiting"]
    others = sorted(key for key in view.all_keys() if key.kind != "run")
    assert others == [DATASET.key, MODEL.key, SERVICE.key]


def test_a_finished_run_that_is_to_go_is_alive_until_it_is_gone() -> None:
    view = view_of(run("over", state="succeeded", deleting=True))
    assert names(view.of_kind("run")) == ["over"]


def test_a_run_drops_out_when_it_ends_and_is_still_found_in_the_store() -> None:
    store = store_of(run("r", owner=OWNER, stage=stage("train", "k")))
    view = View(store)
    revision = asyncio.run(view.load())
    (found,) = view.active("n1")
    put(store, found.with_status(state="succeeded"))
    follow(view, store, revision)
    assert (view.of_kind("run"), view.active(), view.runs_of(MODEL.key)) == ([], [], [])
    assert view.is_idle
    assert view.runs_computing("default", "k") == []
    assert names(asyncio.run(view.all_runs_of(MODEL.key))) == ["r"]
    over = asyncio.run(view.run(found.key))
    assert over is not None
    assert over.status.state == "succeeded"


def test_lookups_find_what_they_say_and_nothing_else() -> None:
    view = view_of(
        run("a", state="queued", owner=OWNER, stage=stage("train", "k")),
        run("b", state="running", owner=OWNER, stage=stage("train", "l")),
        run("c", state="starting", node="n2", owner="model/default/x", stage=stage("train", "k")),
        run("d", state="waiting"),
        run("e", state="succeeded", owner=OWNER),
        run("f", project="team", owner="model/team/m", stage=stage("train", "k")),
    )
    assert names(view.queued()) == ["a"]
    assert names(view.active()) == ["b", "c", "f"]
    assert (names(view.active("n1")), names(view.active("n2")), view.active("n3")) == (["b", "f"], ["c"], [])
    assert names(view.runs_of(MODEL.key)) == ["a", "b"]
    assert names(asyncio.run(view.all_runs_of(MODEL.key))) == ["a", "b", "e"]
    assert names(view.runs_computing("default", "k")) == ["a", "c"]
    assert names(asyncio.run(view.all_in("team"))) == ["f"]


def test_who_names_a_resource_uses_it_until_he_is_to_go_himself() -> None:
    assert view_of(MODEL, SERVICE).users_of(MODEL.key) == [view_of(MODEL, SERVICE).get(SERVICE.key)]
    assert view_of(MODEL, SERVICE.model_copy(update={"deleting": True})).users_of(MODEL.key) == []


def test_a_change_that_is_known_already_is_no_news_and_an_older_one_undoes_nothing() -> None:
    store = store_of(MODEL)
    view = View(store)
    asyncio.run(view.load())
    (old,) = view.of_kind("model")
    (newer,) = put(store, old.with_status(reason="newer"))
    assert view.apply(Change(revision=newer.revision, key=newer.key, resource=newer))
    assert not view.apply(Change(revision=newer.revision, key=newer.key, resource=newer))
    assert not view.apply(Change(revision=old.revision, key=old.key, resource=old))
    assert view.get(MODEL.key) == newer
    assert not view.apply(Change(revision=99, key=Key("model", "default", "never"), resource=None))


def test_reading_a_second_time_leaves_no_trace_of_what_was_before() -> None:
    store = store_of(run("r", state="queued"))
    view = View(store)
    asyncio.run(view.load())
    (queued,) = view.queued()
    put(store, queued.with_status(state="running", node="n1"))
    asyncio.run(view.load())
    assert view.queued() == []
    assert names(view.active("n1")) == ["r"]


@pytest.mark.parametrize("many", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
def test_all_that_is_alive_is_read_however_many_pages_it_takes(many: int) -> None:
    view = view_of(*(run(f"r{number:04}", state="queued") for number in range(many)))
    assert len(view.queued()) == many


def test_a_start_reads_what_is_alive_however_much_is_at_rest() -> None:
    def read(at_rest: int) -> dict[str, int]:
        store = CountingStore()
        put(store, *map(new, (DATASET, MODEL, SERVICE, run("alive"))))
        put(store, *(new(run(f"over-{number}", state="succeeded")) for number in range(at_rest)))
        store.forget()
        asyncio.run(View(store).load())
        return dict(store.calls)

    assert read(2000) == read(20)


@pytest.mark.parametrize("seed", range(10))
def test_whoever_follows_sees_what_one_who_starts_now_sees_and_nothing_is_left_of_what_is_gone(
    seed: int,
) -> None:
    chance = random.Random(seed)
    store = MemoryStore()
    view = View(store)
    revision = asyncio.run(view.load())
    for _ in range(100):
        _change_something(store, chance)
        if chance.random() < 0.3:
            revision = follow(view, store, revision)
            fresh = View(store)
            asyncio.run(fresh.load())
            assert (view._alive, view._index) == (fresh._alive, fresh._index)
            assert not any(rests(resource) for resource in view._alive.values())
    for kind in ("run", "service", "model", "dataset"):
        for found in asyncio.run(store.find(kind)):
            asyncio.run(store.commit([Delete(key=found.key, revision=found.revision)]))
    follow(view, store, revision)
    assert (view._alive, view._index) == ({}, {})


def _change_something(store: MemoryStore, chance: random.Random) -> None:
    """Create, change or remove one of a few resources."""
    name = chance.choice("abcd")
    other = chance.choice("abcd")
    document = chance.choice(
        [
            Dataset(name=name, source=f"dataset://{other}"),
            Model(name=name, task="t", data=other, network=Network(family="cnn")),
            Service(name=name, model=other),
            Run(
                name=name,
                owner=f"service/default/{other}",
                stage=stage("train", chance.choice(["k", "l", None])),
            ),
        ]
    )
    there = asyncio.run(store.get(document.key))
    owned = asyncio.run(store.find("run", owner=document.key.path))
    if there is not None and not owned and chance.random() < 0.3:
        asyncio.run(store.commit([Delete(key=there.key, revision=there.revision)]))
        return
    state = chance.choice(STATES) if document.kind == "run" else "new"
    deleting = chance.random() < 0.2
    changed = (there or new(resource(document))).model_copy(
        update={"document": document, "deleting": deleting}
    )
    put(store, changed.with_status(state=state, **({"node": "n1"} if document.kind == "run" else {})))


def concerned(view: View, before: AnyResource | None, after: AnyResource | None) -> list[Key]:
    """Who looks again when `before` has become `after`, once the view knows."""
    key = (after or before or MODEL).key
    view.apply(Change(revision=1_000_000, key=key, resource=after))
    return list(view.concerned(key, before, after))


def test_a_change_concerns_itself_its_users_and_its_owner() -> None:
    assert concerned(view_of(MODEL, SERVICE), MODEL, MODEL.with_status(reason="x")) == [
        MODEL.key,
        SERVICE.key,
    ]
    owned = run("r", owner=OWNER)
    assert concerned(view_of(MODEL, owned), owned, owned.with_status(reason="x")) == [owned.key, MODEL.key]


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "going"])
def test_when_a_resource_goes_its_project_and_those_it_named_look_again(gone: bool) -> None:
    after = None if gone else MODEL.model_copy(update={"deleting": True})
    project = resource(Project(name="default"))
    found = concerned(view_of(DATASET, MODEL, SERVICE, project), MODEL, after)
    assert sorted(found) == sorted([MODEL.key, SERVICE.key, DATASET.key, project.key])


def test_what_a_document_no_longer_names_looks_again() -> None:
    document = MODEL.document.model_copy(update={"data": "other"})
    after = MODEL.model_copy(update={"document": document})
    assert concerned(view_of(DATASET, MODEL), MODEL, after) == [MODEL.key, DATASET.key]
    assert concerned(view_of(DATASET, MODEL), MODEL, MODEL.with_status(reason="x")) == [MODEL.key]


def test_whoever_waits_for_a_result_looks_again_once_when_it_is_there_and_nobody_else() -> None:
    view = view_of()
    x, y, z = (
        Key("model", project, name) for project, name in (("default", "x"), ("default", "y"), ("team", "z"))
    )
    for who, key in ((x, "k"), (y, "l"), (z, "k")):
        view.await_result(who, key)
    result = resource(Result(name=result_name("k"), run="r", output={}))
    assert concerned(view, None, result) == [result.key, x]
    assert concerned(view, None, result) == [result.key]


@pytest.mark.parametrize("end", ["failed", "cancelled", "succeeded", "going", "gone"])
def test_whoever_waits_for_a_run_of_another_looks_again_when_it_ends_in_any_way(end: str) -> None:
    other = run("r", stage=stage("train", "k"))
    view = view_of(other)
    waiting = Key("model", "default", "x")
    view.await_result(waiting, "k")
    assert waiting not in concerned(view, other, other.with_status(reason="still at it"))
    after = {"going": other.model_copy(update={"deleting": True}), "gone": None}
    assert waiting in concerned(view, other, after.get(end, other.with_status(state=end)))
    assert view._awaited == {}
