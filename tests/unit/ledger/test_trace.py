"""From an answer back to its data."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ledger_facts import METER, PRICES, reading, replica, request

from modelhall.adapters.book.memory import MemoryBook
from modelhall.core.errors import NotFound
from modelhall.core.kinds import AnyResource, Dataset, Key, Model, Resources, Run, Service
from modelhall.core.kinds.dataset import DatasetResource, DatasetStatus, DatasetVersion, SourceFile
from modelhall.core.kinds.model import ModelResource, ModelStatus, ModelVersion, Network
from modelhall.core.kinds.rollout import Release
from modelhall.core.kinds.run import RunResource, RunStatus
from modelhall.core.kinds.service import ServiceResource, ServiceStatus
from modelhall.ledger.settle import Settled, settle
from modelhall.ledger.trace import Trace, trace

DATA_VERSION = DatasetVersion(
    id="d1d1d1", artifact="ad", run="digits-prepare", rows={"train": 90, "test": 10}, columns=(), size_bytes=1,
    sources=(SourceFile(path="digits.csv", digest="5e5e", size_bytes=2000),), steps=(), created_at=1,
)  # fmt: skip
MODEL_VERSION = ModelVersion(
    id="3f2a00", artifact="am", accepted=True, metrics={"accuracy": 0.97}, size_bytes=10, parameters=1000,
    task="image-classification", data="digits@d1d1d1", train_run="train", evaluate_run="digits-evaluate",
    created_at=2,
)  # fmt: skip
MODEL = Model(name="digits", task="image-classification", data="digits", network=Network(family="cnn"))
TIMES = {"uid": "u", "created_at": 0, "updated_at": 0}


def resources() -> dict[Key, AnyResource]:
    """A hall in which `digits` was prepared, trained, evaluated and is served by one replica."""
    runs = [
        RunResource(document=Run(name=name, command=("true",)), status=RunStatus(state="succeeded"), **TIMES)
        for name in ("digits-prepare", "train", "digits-evaluate", "digits-0")
    ]
    dataset = DatasetResource(
        document=Dataset(name="digits", source="digits.csv"),
        status=DatasetStatus(version="d1d1d1", versions=(DATA_VERSION,)),
        **TIMES,
    )
    model = ModelResource(document=MODEL, status=ModelStatus(versions=(MODEL_VERSION,)), **TIMES)
    service = ServiceResource(
        document=Service(name="digits", model="digits"), status=ServiceStatus(), **TIMES
    )
    return {resource.key: resource for resource in [*runs, dataset, model, service]}


def traced(request_id: str, there: dict[Key, AnyResource], **changes: Any) -> Trace:
    async def get(key: Key) -> AnyResource | None:
        return there.get(key)

    async def story() -> Trace:
        book = MemoryBook()
        asked = request("a", weight=1.0, **changes)
        await book.append(usage=[asked, request("unsettled", replica="")])
        for read, usage in [(reading(cpu_s=5.0), []), (replica(cpu_s=2.0), [asked])]:
            done = settle(read, Settled(0.0, 100.0), usage, close=True, meter=METER, prices=PRICES)
            await book.append(entries=done.entries)
        return await trace(request_id, book=book, get=get, may_see=lambda project: True)

    return asyncio.run(story())


def test_an_answer_leads_back_to_its_source_files_with_the_cost_of_every_step() -> None:
    steps = traced("a", resources()).steps
    assert [(step.what, step.name) for step in steps] == [
        ("request", "a"),
        ("replica", "digits-0"),
        ("service", "digits"),
        ("model", "digits"),
        ("train", "train"),
        ("evaluate", "digits-evaluate"),
        ("dataset", "digits"),
        ("prepare", "digits-prepare"),
        ("file", "digits.csv"),
    ]
    assert not any(step.gone for step in steps)
    seconds = {step.what: step.cost.cpu_s for step in steps if step.cost}
    assert seconds == {
        "request": 1.0, "replica": 2.0, "service": 2.0, "model": 5.0, "train": 5.0, "evaluate": 0.0,
        "dataset": 0.0, "prepare": 0.0,
    }  # fmt: skip
    assert {step.what: step.id for step in steps if step.what in ("model", "dataset", "file")} == {
        "model": "3f2a00",
        "dataset": "d1d1d1",
        "file": "5e5e",
    }


def test_what_was_converted_for_the_service_has_its_run_on_the_way() -> None:
    there = resources()
    key = Key("service", "default", "digits")
    converted = Release(version="3f2a00", order={}, resources=Resources(), convert_run="digits-convert")
    there[key] = there[key].with_status(release=converted)
    steps = [(step.what, step.name) for step in traced("a", there).steps]
    assert steps[5:7] == [("evaluate", "digits-evaluate"), ("convert", "digits-convert")]
    there[key] = there[key].with_status(release=converted.model_copy(update={"version": "another"}))
    assert "convert" not in {step.what for step in traced("a", there).steps}


def test_an_answer_by_an_adapter_leads_to_the_data_of_that() -> None:
    there = resources()
    served = there[Key("service", "default", "digits")]
    document = served.document.model_copy(update={"model": "other", "adapters": {"legal": "digits"}})
    there[served.key] = served.model_copy(update={"document": document})
    steps = traced("a", there, adapter="legal").steps
    assert [(step.what, step.name) for step in steps[2:5]] == [
        ("service", "digits:legal"), ("model", "digits"), ("train", "train"),
    ]  # fmt: skip
    assert steps[0].details["adapter"] == "legal"
    there[served.key] = served
    (model,) = (step for step in traced("a", there, adapter="legal").steps if step.what == "model")
    assert model.gone == "which model digits:legal was of is declared no more"


def test_a_request_for_texts_tells_what_a_thousand_tokens_cost() -> None:
    (step, *_) = traced("a", resources(), tokens_in=100, tokens_out=400).steps
    assert step.cost is not None
    assert step.details["energy_j_per_1000_tokens"] == pytest.approx(2 * step.cost.energy_j)
    assert step.details["cost_nano_per_1000_tokens"] == pytest.approx(2 * step.cost.cost_nano)


def test_a_trace_can_be_sent_as_json_and_read_again() -> None:
    found = traced("a", resources())
    assert Trace.model_validate_json(found.model_dump_json()) == found


def test_a_request_that_is_not_settled_has_no_cost_yet_and_no_replica_if_none_answered() -> None:
    steps = traced("unsettled", resources()).steps
    assert [step.what for step in steps[:2]] == ["request", "service"]
    assert steps[0].cost is None


@pytest.mark.parametrize(
    ("removed", "last", "said"),
    [
        (Key("run", "default", "digits-0"), "file", "deleted"),
        (Key("run", "default", "train"), "file", "deleted"),
        (Key("service", "default", "digits"), "model", "known to its service"),
        (Key("model", "default", "digits"), "model", "deleted"),
        (Key("dataset", "default", "digits"), "dataset", "deleted"),
    ],
)
def test_what_was_deleted_is_said_to_be_gone_and_keeps_its_cost(removed: Key, last: str, said: str) -> None:
    there = resources()
    del there[removed]
    steps = traced("a", there).steps
    assert steps[-1].what == last
    (gone, *_) = [step for step in steps if said in step.gone]
    if removed.kind == "run":
        assert gone.cost is not None
        assert gone.cost.cpu_s > 0


def test_a_version_the_model_does_not_have_any_more_is_said_to_be_gone() -> None:
    there = resources()
    key = Key("model", "default", "digits")
    there[key] = there[key].with_status(versions=())
    last = traced("a", there).steps[-1]
    assert (last.what, last.id, last.gone) == ("model", "3f2a00", "model digits has no such version any more")


def test_a_request_nobody_knows_is_not_found() -> None:
    with pytest.raises(NotFound, match="none"):
        traced("none", resources())
