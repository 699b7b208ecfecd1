"""Erased rows: no version keeps them, nor what was made of it; and nothing goes before there is a new one."""

from __future__ import annotations

import asyncio
from typing import Any

from facts import NOW, created, of, removed, resource, run, stage, status_of, view_of

from modelhall.control import datasets, erasures, meant, models
from modelhall.control.actions import Create
from modelhall.control.view import View
from modelhall.core.kinds import Dataset, Model, Result, Run
from modelhall.core.kinds.dataset import DatasetResource, DatasetVersion, Erasure, SourceFile, StepReport
from modelhall.core.kinds.model import ModelVersion, Network
from modelhall.core.kinds.result import result_name
from modelhall.core.orders import EraseOrder, key_of

ERASURE = Erasure(id="e1", at=NOW, by="token default/first")
DROPPED = StepReport(name="clean", rows_in=9, rows_out=8, examples={"empty": ("name: Ann",)})


def version(id: str, *erased: str, source: str = "", **more: Any) -> DatasetVersion:
    file = SourceFile(path=source or "rows.csv", digest=source.rpartition("@")[2] or "x", size_bytes=1)
    return DatasetVersion(
        id=id, artifact=f"artifact-{id}", run="r", rows={"train": 8}, columns=(), size_bytes=1, sources=(file,),
        steps=(DROPPED,), created_at=0, erasures=erased, **more,
    )  # fmt: skip


def dataset(
    *versions: DatasetVersion, name: str = "d", erased: bool = True, state: str = "ready"
) -> DatasetResource:
    return resource(
        Dataset(name=name, source="rows.csv"), state=state, versions=versions, version=versions[-1].id,
        erasures=(ERASURE,) if erased else (),
    )  # fmt: skip


async def fingerprint(url: str, project: str) -> str:
    return "f"


def decide(of: DatasetResource, view: View) -> Any:
    return datasets.reconcile(of, asyncio.run(datasets.observe(of, view, fingerprint)), NOW)


def test_an_erasure_means_another_preparation_that_is_handed_which_rows_are_meant() -> None:
    before = dataset(version("v1"))
    actions = decide(before, view_of(before))
    (prepare,) = [action.document for action in of(Create, actions) if isinstance(action.document, Run)]
    assert prepare.stage.order["erasures"] == ["e1"]  # type: ignore[union-attr]
    assert prepare.secrets == ("erasure-e1",)
    unerased = dataset(version("v1"), erased=False)
    assert created(decide(unerased, view_of(unerased))) != [prepare.name]


def test_nothing_is_deleted_before_a_version_without_the_rows_is_ready() -> None:
    for before in (dataset(version("v1")), dataset(version("v1"), version("v2", "e1"), state="preparing")):
        assert asyncio.run(erasures.next_one(before, view_of(before))) is None


def test_what_holds_the_rows_goes_then_and_what_others_have_a_use_for_stays() -> None:
    clean = ERASURE.model_copy(update={"clean": ("v0",)})
    before = dataset(version("v0"), version("v1"), version("v2", "e1")).with_status(erasures=(clean,))
    other = dataset(version("v9"), name="other", erased=False)
    erasing = asyncio.run(erasures.next_one(before, view_of(before, other)))
    assert erasing is not None
    assert erasing.versions == {"v1": "e1"}
    assert erasing.order.artifacts == ("artifact-v1",)
    assert erasing.order.keep == ("artifact-v0", "artifact-v2", "artifact-v9")
    assert created(decide(before, view_of(before, other)))[0].startswith("d-erase-")


def test_a_data_set_made_of_the_rows_is_cleared_of_them_in_its_turn() -> None:
    above = dataset(version("v1"), version("v2", "e1"))
    stale, fresh = (version(f"w{n}", source=f"dataset://d@artifact-v{n}") for n in (1, 2))
    waiting = dataset(stale, name="made", erased=False)
    assert asyncio.run(erasures.next_one(waiting, view_of(above, waiting))) is None
    made = dataset(stale, fresh, name="made", erased=False)
    erasing = asyncio.run(erasures.next_one(made, view_of(above, made)))
    assert erasing is not None
    assert erasing.versions == {"w1": "e1"}


def test_once_the_content_is_gone_what_quotes_it_goes_as_well_and_the_record_stays() -> None:
    before = dataset(version("v1"), version("v2", "e1"))
    order = EraseOrder(artifacts=("artifact-v1",), keep=())
    key = key_of("erase", order)
    made = run("made-v1", state="succeeded", stage=stage("prepare", "k1"), owner=before.key.path,
               result={"artifact": "artifact-v1"})  # fmt: skip
    told = resource(Result(name=result_name("k1"), run="made-v1", output={"artifact": "artifact-v1"}))
    done = resource(Result(name=result_name(key), run="erased", output={"files": 3, "size_bytes": 9}))
    tried = run("tried", state="cancelled", stage=stage("prepare", "k2"), owner=before.key.path)
    other = run(
        "erased", state="succeeded", stage=stage("erase", key), owner=before.key.path, result={"files": 3}
    )
    actions = decide(before, view_of(before, made, tried, other, told, done))
    gone, kept = status_of(actions, before).versions
    assert (gone.id, gone.erased, gone.steps[0].examples, kept.erased) == ("v1", "e1", {}, None)
    assert set(removed(actions)) == {"made-v1", "tried", told.key.name}


def test_nothing_is_deleted_twice() -> None:
    before = dataset(version("v1", erased="e1"), version("v2", "e1"))
    assert asyncio.run(erasures.next_one(before, view_of(before))) is None


def test_nobody_is_given_a_version_whose_content_is_gone() -> None:
    before = dataset(version("abcd1", erased="e1"), version("v2", "e1"))
    for word in ("1", "abcd"):
        found, why = meant.dataset_version(before, "d", word)
        assert found is None
        assert "erased" in why


async def asked_nowhere(url: str, project: str) -> str:
    raise AssertionError(f"{url} is no affair of this model")


def test_a_model_version_trained_on_the_rows_gives_way_to_the_next_that_is_accepted() -> None:
    def trained(id: str, data: str) -> ModelVersion:
        return ModelVersion(
            id=id, artifact=id, accepted=True, metrics={}, size_bytes=1, parameters=1, task="t", data=data,
            train_run="t", evaluate_run="e", created_at=float(id[1:]),
        )  # fmt: skip

    above = dataset(version("aaaa1"), version("aaaa2", "e1"))
    # The one declared now is the older one: it was declared, trained, and gone back to.
    model = resource(
        Model(name="m", task="t", data="d", network=Network(family="cnn")), version="m9",
        versions=(trained("m9", "d@aaaa1"), trained("m2", "d@aaaa2")),
    )  # fmt: skip
    assert model.status.accepted.id == "m9"
    seen = asyncio.run(models.observe(model, view_of(above, model), asked_nowhere))
    after = status_of(models.reconcile(model, seen, NOW), model)
    assert [one.erased_data for one in after.versions] == [True, False]
    assert after.accepted.id == "m2"
    alone = after.model_copy(update={"versions": after.versions[:1]})
    assert alone.accepted.id == "m9"
