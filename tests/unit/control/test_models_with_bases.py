"""From a base to a model: fetched once for each content, waited for, named by content, and asked about again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from facts import NOW, created, of, resource, status_of, view_of

from modelhall.control import models
from modelhall.control.actions import Action, Create, Wake
from modelhall.control.bases import Origins
from modelhall.control.datasets import LOOK_AGAIN_S
from modelhall.control.work import Work
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.kinds import AnyResource, Dataset, Model, Result
from modelhall.core.kinds.dataset import DatasetVersion
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.origin import Origin
from modelhall.core.kinds.result import result_name
from modelhall.core.orders import FetchOrder, key_of

DATA = DatasetVersion(
    id="dd11", artifact="da", run="r", rows={"train": 8}, columns=(), size_bytes=1, sources=(), steps=(),
    created_at=0,
)  # fmt: skip
HUB = "hf://org/base"


def dataset() -> AnyResource:
    return resource(Dataset(name="d", source="a.csv"), state="ready", version="dd11", versions=(DATA,))


def model(name: str = "m", **fields: Any) -> AnyResource:
    status = fields.pop("status", {})
    return resource(
        Model.model_validate({"name": name, "task": "text-generation", "data": "d", **fields}), **status
    )


def version(id: str = "ab12", **fields: Any) -> ModelVersion:
    return ModelVersion.model_validate({
        "id": id, "artifact": f"art-{id}", "accepted": True, "metrics": {}, "size_bytes": 1, "parameters": 1,
        "task": "text-generation", "data": "d@dd11", "train_run": "t", "evaluate_run": "e", "created_at": 1.0,
        **fields,
    })  # fmt: skip


def fetched(fingerprint: str = "f1", artifact: str = "base-artifact") -> AnyResource:
    key = key_of("fetch", FetchOrder(base=HUB), source=fingerprint)
    output = {"artifact": artifact, "size_bytes": 1, "licence": "mit", "sources": []}
    return resource(Result(name=result_name(key), run="f", output=output))


def decided(model: AnyResource, *others: AnyResource, fingerprint: Any = "f1") -> list[Action]:
    async def ask(url: str, project: str) -> str:
        if isinstance(fingerprint, Exception):
            raise fingerprint
        assert url == "hf://models/org/base", "as sources know it"
        return str(fingerprint)

    seen = asyncio.run(models.observe(model, view_of(model, dataset(), *others), ask))
    return models.reconcile(model, seen, NOW)


def order_of(actions: list[Action]) -> dict[str, Any]:
    (create,) = of(Create, actions)
    assert create.document.stage is not None
    return dict(create.document.stage.order)


def test_a_base_is_fetched_and_then_trained_on_by_its_content() -> None:
    before = model(base=HUB)
    actions = decided(before)
    assert order_of(actions) == {"base": HUB}
    assert status_of(actions, before).state == "waiting"
    after = decided(before, fetched())
    assert order_of(after)["base"] == "base-artifact"
    assert of(Wake, after) == [Wake(key=before.key, after_s=LOOK_AGAIN_S)]


def test_a_base_whose_content_stayed_is_not_trained_on_again() -> None:
    before = model(base=HUB)
    one, other = decided(before, fetched("f1")), decided(before, fetched("f2"), fingerprint="f2")
    assert created(one) == created(other)
    changed = decided(before, fetched("f2", "other-artifact"), fingerprint="f2")
    assert created(changed) != created(one)


def test_a_base_that_cannot_be_read_is_said_and_looked_for_again() -> None:
    before = model(base=HUB)
    actions = decided(before, fingerprint=Rejected("nothing found", field="source"))
    status = status_of(actions, before)
    assert (status.state, status.reason, status.problem.field) == ("failed", "nothing found", "base")
    assert of(Wake, actions)


def test_what_is_known_stands_while_the_base_cannot_be_asked_for() -> None:
    before = model(base=HUB, status={"state": "ready", "version": "ab12", "versions": (version(),)})
    actions = decided(before, fingerprint=NotNow("the hub sleeps", delay_s=9))
    assert status_of(actions, before) == before.status


def test_another_model_is_waited_for_and_then_named_by_its_artifact() -> None:
    before = model(base="model://big", teacher={"model": "model://wise", "alpha": 0.9})
    status = status_of(decided(before, model("big"), model("wise")), before)
    assert status.state == "waiting"
    assert "model wise is new" in status.reason
    big, wise = (
        model(
            name,
            network={"family": "llama"},
            status={"state": "ready", "version": id, "versions": (version(id),)},
        )
        for name, id in (("big", "aa11"), ("wise", "bb22"))
    )
    order = order_of(decided(before, big, wise))
    assert order["base"] == "art-aa11"
    assert order["teacher"] == {"model": "art-bb22", "temperature": 2.0, "alpha": 0.9}


def test_the_version_tells_what_it_was_made_from_under_which_licence() -> None:
    before = model(base=HUB)
    origin = Origin(source=HUB, artifact="base-artifact", licence="mit")
    trained = Result(
        name="t", run="t", output={"artifact": "w", "size_bytes": 1, "parameters": 2, "steps": 3}
    )
    measured = Result(name="e", run="e", output={"metrics": {}, "rows": 9})
    seen = models.Facts(
        waits="", data=DATA, runs=[], origins=Origins(base=origin),
        train=Work(stage="train", key="k1", result=trained, run=None),
        evaluate=Work(stage="evaluate", key="k2", result=measured, run=None),
    )  # fmt: skip
    (made,) = status_of(models.reconcile(before, seen, NOW), before).versions
    assert made.base == origin


@pytest.mark.parametrize("role", ["base", "teacher"])
def test_what_was_made_from_a_model_of_erased_rows_is_marked_as_well(role: str) -> None:
    origin = Origin(source="model://big@aa11", artifact="art-aa11")
    big = model("big", network={"family": "llama"}, status={"versions": (version("aa11", erased_data=True),)})
    before = model(
        network={"family": "llama"}, status={"version": "ab12", "versions": (version(**{role: origin}),)}
    )
    (after,) = status_of(decided(before, big), before).versions
    assert after.erased_data
