"""A service with adapters: what is refused, what its release is made of, and what it says while one is missing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from facts import NOW, created, notes, removed, resource, status_of, view_of

from modelhall.control import served_adapters, service_facts, services
from modelhall.control.actions import Action, Create
from modelhall.control.service_facts import Facts
from modelhall.core.errors import Rejected
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import Document, Key, Model, Service
from modelhall.core.kinds.model import Comparison, Difference, Evaluation, ModelVersion, Signature
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.service import ServiceResource

OWN, FIRST, SECOND = "a" * 64, "b" * 64, "c" * 64
LORA: dict[str, Any] = {"adapter": {"lora": {"rank": 4}}}


def model(name: str = "legal", **fields: Any) -> Model:
    told = {"task": "text-generation", "data": "d", "base": "/base", "train": LORA, **fields}
    return Model(name=name, **told)


def version(id: str, **fields: Any) -> ModelVersion:
    return ModelVersion(
        id=id, artifact=f"{id[:8]}-artifact", accepted=True, metrics={}, size_bytes=1, parameters=1,
        task="text-generation", data="d@1", train_run="t", evaluate_run="e", **{"created_at": 0.0, **fields},
    )  # fmt: skip


def service(**fields: Any) -> ServiceResource:
    return resource(Service(**{"name": "s", "model": "own", "adapters": {"legal": "legal"}, **fields}))


def facts(
    of: ServiceResource, *legal: ModelVersion, runs: list[RunResource] | None = None, **more: Any
) -> Facts:
    view = view_of(
        resource(model("own"), state="ready", versions=(version(OWN),)),
        resource(model(), state="ready" if legal else "training", reason="training", versions=legal),
    )
    found = asyncio.run(service_facts.observe(of, view))
    return Facts(**{**vars(found), "runs": runs or [], **more})


def replicas(actions: list[Action]) -> list[RunResource]:
    documents = [action.document for action in actions if isinstance(action, Create)]
    return [resource(one, state="running", node="n1", address=f"n1:{at}") for at, one in enumerate(documents)]


def test_a_replica_is_ordered_to_serve_each_adapter_by_its_newest_version_or_the_one_that_is_pinned() -> None:
    both = (version(FIRST), version(SECOND, created_at=9.0))
    for reference, id, number in (("legal", SECOND, 2), ("legal@1", FIRST, 1)):
        asked = service(adapters={"legal": reference})
        (run,) = replicas(services.reconcile(asked, facts(asked, *both), NOW))
        assert run.document.stage is not None
        told = run.document.stage.order["adapters"]["legal"]
        assert (told["model"], told["version"], told["number"]) == ("legal", id, number)
        assert told["artifact"] == f"{id[:8]}-artifact"


def test_an_adapter_is_checked_by_the_key_its_own_version_was_signed_with() -> None:
    signed = version(FIRST, signature=Signature(artifact="proof", key="k2"))
    view = view_of(
        resource(model("own"), versions=(version(OWN, signature=Signature(artifact="other", key="k1")),)),
        resource(model(), versions=(signed,)),
    )

    class Keys:
        def trusted(self) -> dict[str, str]:
            return {"k1": "PEM 1", "k2": "PEM 2"}

    found = asyncio.run(service_facts.observe(service(), view, Keys()))  # type: ignore[arg-type]
    assert found.public_key == "PEM 1"
    assert (found.adapters["legal"].order.public_key, found.adapters["legal"].order.signature) == (
        "PEM 2",
        "proof",
    )


def test_without_adapters_an_order_is_what_it_was_before_there_were_any() -> None:
    """Or each replica of an older hall would be replaced once this one has started."""
    (run,) = replicas(services.reconcile(service(adapters={}), facts(service(adapters={})), NOW))
    assert run.document.stage is not None
    assert "adapters" not in run.document.stage.order


def test_what_there_is_is_served_while_an_adapter_is_still_trained_and_the_reason_says_so() -> None:
    asked = service()
    runs = replicas(services.reconcile(asked, facts(asked), NOW))
    actions = services.reconcile(asked, facts(asked, runs=runs), NOW)
    before = status_of(actions, asked)
    assert (before.state, before.version) == ("waiting", OWN)
    assert before.reason.endswith("; adapter legal: model legal is training: training")
    serving = asked.with_status(**dict(before))
    coming = services.reconcile(serving, facts(serving, version(FIRST), runs=runs), NOW)
    new = replicas(coming)
    assert len(created(coming)) == 1
    done = services.reconcile(serving, facts(serving, version(FIRST), runs=[*runs, *new]), NOW)
    after = status_of(done, serving)
    assert (after.state, after.adapters["legal"].version) == ("ready", FIRST)
    assert [replica.adapters.keys() for replica in after.ready] == [{"legal"}]
    assert "service.version" in notes(done)


def test_an_adapter_whose_version_may_not_be_served_any_more_is_not_taken_from_its_callers() -> None:
    """As where keys are changed, and a version is yet to be signed with the new one."""
    asked = service()
    runs = replicas(services.reconcile(asked, facts(asked, version(FIRST)), NOW))
    status = status_of(services.reconcile(asked, facts(asked, version(FIRST), runs=runs), NOW), asked)
    serving = asked.with_status(**dict(status))
    actions = services.reconcile(serving, facts(serving, runs=runs), NOW)
    after = status_of(actions, serving)
    assert (created(actions), removed(actions)) == ([], [])
    assert (after.state, after.adapters["legal"].version) == ("waiting", FIRST)


def test_an_adapter_that_was_measured_to_be_worse_does_not_come_into_use() -> None:
    worse = Difference(before=0.9, after=0.5, interval=(-0.5, -0.3), p=1e-6)
    comparison = Comparison(against=FIRST, rows=100, figures={"accuracy": worse})
    new = version(SECOND, created_at=9.0, evaluation=Evaluation(artifact="e", comparison=comparison))
    asked = service(rollout={"canary": {}})
    known = facts(asked, version(FIRST))
    runs = replicas(services.reconcile(asked, known, NOW))
    status = status_of(services.reconcile(asked, facts(asked, version(FIRST), runs=runs), NOW), asked)
    serving = asked.with_status(**dict(status))
    both = facts(serving, version(FIRST), new, runs=runs)
    sent_back = status_of(services.reconcile(serving, both, NOW), serving)
    assert (sent_back.state, sent_back.adapters["legal"].version) == ("refused", FIRST)
    assert "adapter legal: its accuracy is 0.5, and 0.9 before" in sent_back.reason


@pytest.mark.parametrize(
    ("said", "named", "field", "message"),
    [
        ({}, model(train={}), "adapters.legal", "model legal is trained as a whole network; give it `train:"),
        ({}, model(task="text-classification"), "adapters.legal", "model legal does text-classification"),
        (
            {"engine": "openvino-genai"},
            model(),
            "engine",
            "openvino-genai serves no adapters beside a model; ",
        ),
    ],
)
def test_what_can_be_no_adapter_is_refused_when_it_is_declared(
    said: dict[str, Any], named: Model, field: str, message: str
) -> None:
    asked = service(**said).document
    with pytest.raises(Rejected) as refused:
        served_adapters.check(asked, {named.key: named}, {})
    assert (refused.value.field, refused.value.message.startswith(message)) == (field, True)


def test_a_pinned_version_may_have_been_an_adapter_when_it_was_trained() -> None:
    declared: dict[Key, Document] = {Key("model", "default", "legal"): model(train={})}
    served_adapters.check(service(adapters={"legal": "legal@1"}).document, declared, {})


@pytest.mark.parametrize("name", ["Legal", "a:b", "../x", "a" * 64, "", "x\r\ny"])
def test_an_adapter_is_called_as_anything_else_in_a_hall_is(name: str) -> None:
    with pytest.raises(Rejected, match="adapters"):
        document_from_json({"kind": "service", "name": "s", "model": "m", "adapters": {name: "legal"}})
