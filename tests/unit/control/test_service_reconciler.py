"""How a service gets to the version it should serve, and what it serves until then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from facts import NOW, created, notes, removed, resource, run, stage, status_of, view_of

from modelhall.control import service_facts, services
from modelhall.control.actions import Action, Create
from modelhall.control.service_facts import Facts
from modelhall.core.kinds import Model, Problem, Service
from modelhall.core.kinds.model import ModelVersion, Network
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.service import Batching, ServiceResource

OLD, NEW = "a" * 64, "b" * 64


def version(id: str, *, accepted: bool = True, created_at: float = 0.0) -> ModelVersion:
    return ModelVersion(
        id=id, artifact=f"{id[:8]}-artifact", accepted=accepted, refusal="" if accepted else "accuracy 0.8 < 0.9",
        metrics={}, size_bytes=1, parameters=1, task="t", data="d@1", train_run="t", evaluate_run="e",
        created_at=created_at,
    )  # fmt: skip


def service(serves: str | None = None, **fields: Any) -> ServiceResource:
    return resource(Service(**{"name": "s", "model": "m", "replicas": 2, **fields}), version=serves)


def replicas_of(of: ServiceResource, id: str, ready: str = "yy") -> list[RunResource]:
    """The runs a service makes for a version: `y` answers, `n` does not yet."""
    asked = services.reconcile(of, Facts(version=version(id), waits="", runs=[]), NOW)
    documents = [action.document for action in asked if isinstance(action, Create)]
    return [
        resource(document, state="running", node="n1", address=f"n1:{slot}" if answers == "y" else None)
        for slot, (document, answers) in enumerate(zip(documents, ready, strict=True))
    ]


def decide(of: ServiceResource, id: str | None, runs: list[RunResource], waits: str = "") -> list[Action]:
    return services.reconcile(of, Facts(version=version(id) if id else None, waits=waits, runs=runs), NOW)


def test_a_new_service_starts_its_replicas_and_is_ready_when_all_answer() -> None:
    fresh = service()
    assert len(created(decide(fresh, NEW, []))) == 2
    states = [
        status_of(decide(fresh, NEW, replicas_of(fresh, NEW, r)), fresh).state for r in ("nn", "yn", "yy")
    ]
    assert states == ["starting", "starting", "ready"]


@pytest.mark.parametrize("ready", ["nn", "yn"])
def test_requests_stay_with_the_old_version_until_all_new_replicas_answer(ready: str) -> None:
    serving = service(OLD)
    runs = [*replicas_of(serving, OLD), *replicas_of(serving, NEW, ready)]
    actions = decide(serving, NEW, runs)
    status = status_of(actions, serving)
    assert status.version == OLD
    assert "bbbbbbbb is starting" in status.reason
    assert removed(actions) == []


def test_requests_move_and_the_old_replicas_go_when_all_new_ones_answer() -> None:
    serving = service(OLD)
    old = replicas_of(serving, OLD)
    actions = decide(serving, NEW, [*old, *replicas_of(serving, NEW)])
    assert status_of(actions, serving).version == NEW
    assert removed(actions) == [run.key.name for run in old]
    assert "service.version" in notes(actions)


def test_a_new_version_that_cannot_start_leaves_the_old_one_serving_and_says_why() -> None:
    serving = service(OLD)
    problem = Problem(message="no weights", who="us")
    broken = [
        run.with_status(state="failed", problem=problem, address=None)
        for run in replicas_of(serving, NEW, "nn")
    ]
    actions = decide(serving, NEW, [*replicas_of(serving, OLD), *broken])
    status = status_of(actions, serving)
    assert (status.version, status.state) == (OLD, "degraded")
    assert "no weights" in status.reason
    assert removed(actions) == []


def test_when_nothing_of_the_old_version_answers_requests_go_to_whatever_of_the_new_does() -> None:
    serving = service(OLD)
    runs = [*replicas_of(serving, OLD, "nn"), *replicas_of(serving, NEW, "yn")]
    assert status_of(decide(serving, NEW, runs), serving).version == NEW


def test_a_third_version_replaces_the_second_that_was_not_up_yet() -> None:
    serving = service(OLD)
    second = replicas_of(serving, NEW, "nn")
    actions = decide(serving, "c" * 64, [*replicas_of(serving, OLD), *second])
    assert len(created(actions)) == 2
    assert removed(actions) == [run.key.name for run in second]


def test_other_batching_of_the_same_version_replaces_replicas_when_the_new_ones_answer() -> None:
    before = service(OLD)
    old = replicas_of(before, OLD)
    after = service(OLD, batching=Batching(max_size=4))
    assert removed(decide(after, OLD, [*old, *replicas_of(after, OLD, "yn")])) == []
    actions = decide(after, OLD, [*old, *replicas_of(after, OLD)])
    assert removed(actions) == [run.key.name for run in old]


def test_what_a_replica_need_not_know_does_not_replace_it() -> None:
    before = service(OLD)
    for change in (
        {"balance": "round-robin"},
        {"retries": 1},
        {"try_timeout_s": 1.0},
        {"labels": {"a": "b"}},
    ):
        after = service(OLD, **change)
        actions = decide(after, OLD, replicas_of(before, OLD))
        assert (created(actions), removed(actions)) == ([], [])


def test_fewer_replicas_go_and_more_come_by_their_slots() -> None:
    two = service(OLD)
    runs = replicas_of(two, OLD)
    fewer = service(OLD, replicas=1)
    assert removed(decide(fewer, OLD, runs)) == [runs[1].key.name]
    more = service(OLD, replicas=3)
    assert [name.rpartition("-")[2] for name in created(decide(more, OLD, runs))] == ["2"]
    none = service(OLD, replicas=0)
    actions = decide(none, OLD, runs)
    assert len(removed(actions)) == 2
    assert status_of(actions, none).state == "ready"


def test_a_replica_that_is_leaving_is_made_again_only_when_it_is_gone() -> None:
    serving = service(OLD)
    one, other = replicas_of(serving, OLD)
    leaving = one.model_copy(update={"deleting": True})
    actions = decide(serving, OLD, [leaving, other])
    status = status_of(actions, serving)
    assert [replica.state for replica in status.replicas] == ["stopping", "ready"]
    assert [replica.run for replica in status.ready] == [other.key.name]
    assert created(decide(serving, OLD, [other])) == [one.key.name]


@pytest.mark.parametrize("ended", [{"state": "cancelled"}, {"state": "running", "failures": 3}])
def test_replicas_that_the_service_itself_clears_away_are_not_what_keeps_it_from_coming_up(
    ended: dict[str, Any],
) -> None:
    serving = service(OLD)
    problem = Problem(message="no weights", who="us")
    left = [
        run.model_copy(update={"deleting": True}).with_status(address=None, problem=problem, **ended)
        for run in replicas_of(serving, OLD)
    ]
    status = status_of(decide(serving, NEW, [*left, *replicas_of(serving, NEW, "nn")]), serving)
    assert (status.state, status.problem) == ("starting", None)


def test_without_a_version_it_says_what_it_waits_for_and_keeps_what_it_serves() -> None:
    serving = service(OLD)
    actions = decide(serving, None, replicas_of(serving, OLD), waits="model m is refused")
    status = status_of(actions, serving)
    assert (status.state, status.reason, status.version) == ("waiting", "model m is refused", OLD)
    assert len(status.ready) == 2
    assert removed(actions) == []


def test_a_replica_that_was_replaced_is_cleared_away_also_when_it_is_over() -> None:
    serving = service(NEW)
    over = [run.with_status(state="succeeded", address=None) for run in replicas_of(serving, OLD)]
    view = view_of(serving, *over, *replicas_of(serving, NEW))
    facts = asyncio.run(service_facts.observe(serving, view))
    actions = decide(serving, NEW, facts.runs)
    assert removed(actions) == [run.key.name for run in over]


def seen(reference: str, *versions: ModelVersion, declares: str | None = None) -> Facts:
    model = resource(
        Model(name="m", task="t", data="d", network=Network(family="cnn")), versions=versions, version=declares,
        state="training", reason="run x is running",
    )  # fmt: skip
    return asyncio.run(service_facts.observe(service(model=reference), view_of(model)))


def test_a_plain_name_follows_the_declared_version_if_accepted_and_else_the_newest_that_was() -> None:
    old, newer = version(OLD, created_at=1), version(NEW, created_at=2)
    refused = version("c" * 64, accepted=False, created_at=3)
    assert seen("m", old, newer, declares=OLD).version == old
    assert seen("m", old, newer, refused, declares=refused.id).version == newer
    assert seen("m", old, newer).version == newer


def test_a_pinned_version_is_served_however_many_come_after() -> None:
    old, newer = version(OLD, created_at=1), version(NEW, created_at=2)
    assert seen("m@aaaa", old, newer, declares=NEW).version == old


@pytest.mark.parametrize(
    ("reference", "versions", "said"),
    [
        ("m@aaaa", [version(OLD, accepted=False)], "was refused: accuracy 0.8 < 0.9"),
        ("m@cccc", [version(OLD)], "has no version cccc"),
        ("m", [version(OLD, accepted=False)], "model m is training: run x is running"),
        ("other", [], "there is no model other"),
    ],
)
def test_what_cannot_be_served_says_why(reference: str, versions: list[ModelVersion], said: str) -> None:
    facts = seen(reference, *versions)
    assert facts.version is None
    assert said in facts.waits


def test_two_services_of_one_model_have_replicas_of_their_own() -> None:
    one, other = service(), service(name="t")
    names = {run.key.name for of in (one, other) for run in replicas_of(of, NEW)}
    assert len(names) == 4
    assert all(run.document.restart for run in replicas_of(one, NEW))
    assert stage("serve", None).key is None
    assert run().document.restart is False


def test_replicas_that_stand_by_are_started_and_waited_for_like_the_others() -> None:
    fresh = service(standby=1)
    assert len(created(decide(fresh, NEW, []))) == 3
    states = [status_of(decide(fresh, NEW, replicas_of(fresh, NEW, r)), fresh).state for r in ("yyn", "yyy")]
    assert states == ["starting", "ready"]
    status = status_of(decide(fresh, NEW, replicas_of(fresh, NEW, "yyy")), fresh)
    assert status.reason.startswith("3 of 3 replicas ready")
