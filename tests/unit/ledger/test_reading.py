"""From what control and launcher know of a run to readings."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_facts import reading

from modelhall.core.kinds import Resources, Run
from modelhall.core.kinds.run import Attempt, Exit, RunResource, RunStatus, Stage
from modelhall.core.ports.launcher import AttemptId, Observation
from modelhall.ledger.reading import Reading, readings_of

NOW = 130.0


def run(*attempts: Attempt, **fields: Any) -> RunResource:
    document = Run(**{"name": "train", "command": ("true",), "resources": Resources(cpus=2), **fields})
    status = RunStatus(state="running", attempt=len(attempts), attempts=attempts)
    return RunResource(document=document, status=status, uid="u1", created_at=0, updated_at=0)


def seen(number: int, **fields: Any) -> dict[AttemptId, Observation]:
    return {AttemptId("u1", number): Observation(**fields)}


def test_an_attempt_at_work_is_read_as_it_is_seen_now() -> None:
    at_work = run(Attempt(number=1, node="n1", started_at=100.0))
    assert readings_of(at_work, seen(1, alive=True, cpu_s=7.0), NOW) == [reading(cpus=2.0, cpu_s=7.0, at=NOW)]


def test_gpus_are_read_by_the_type_that_their_node_says_they_are() -> None:
    held = run(
        Attempt(number=1, node="n1", started_at=100.0, workers=2),
        resources=Resources(gpus=0.5, gpu_type="any"),
    )
    at_work = seen(1, alive=True)
    for told, gpu_type in (({"n1": "L4"}, "L4"), ({}, "any")):
        (found,) = readings_of(held, at_work, NOW, gpu_types=told)
        assert (found.gpus, found.gpu_type) == (1.0, gpu_type)


def test_an_attempt_that_is_over_is_read_as_it_was_written_down() -> None:
    exit = Exit(code=0, cpu_s=9.0, ended_at=120.0)
    over = reading(cpus=2.0, cpu_s=9.0, at=120.0, ended=True)
    assert readings_of(run(Attempt(number=1, node="n1", started_at=100.0, exit=exit)), {}, NOW) == [over]
    just_over = run(Attempt(number=1, node="n1", started_at=100.0))
    assert readings_of(just_over, seen(1, alive=False, exit=exit), NOW) == [over]


def test_every_attempt_of_a_run_is_read() -> None:
    failed = Attempt(number=1, node="n1", started_at=100.0, exit=Exit(signal=9, cpu_s=3.0, ended_at=110.0))
    again = Attempt(number=2, node="n2", started_at=111.0)
    found = readings_of(run(failed, again), seen(2, alive=True, cpu_s=1.0), NOW)
    assert [(one.attempt, one.node, one.cpu_s, one.ended) for one in found] == [
        (1, "n1", 3.0, True),
        (2, "n2", 1.0, False),
    ]


@pytest.mark.parametrize("known", [{}, seen(1, alive=None)])
def test_an_attempt_nothing_is_known_of_has_no_reading(known: dict[AttemptId, Observation]) -> None:
    assert readings_of(run(Attempt(number=1, node="n1", started_at=100.0)), known, NOW) == []


def test_a_replica_is_read_with_its_service() -> None:
    stage = Stage(program="serve", order={"service": "digits"})
    replica = run(Attempt(number=1, node="n1", started_at=100.0), command=None, stage=stage)
    (found,) = readings_of(replica, seen(1, alive=True, cpu_s=1.0), NOW)
    assert found.service == "digits"


@pytest.mark.parametrize(
    "lie",
    [reading(cpu_s=float("nan")), reading(at=float("inf")), reading(cpu_s=-1.0), reading(cpu_s=4096 * 10.1)],
)
def test_a_reading_that_cannot_be_true_is_not_credible(lie: Reading) -> None:
    assert not lie.is_credible
    assert reading().is_credible


def test_a_replica_is_read_with_the_models_of_its_adapters() -> None:
    order = {"service": "s", "adapters": {"legal": {"model": "contracts"}}}
    one = run(
        Attempt(number=1, node="n1", started_at=100.0), command=(), owner="service/default/s",
        stage=Stage(program="serve", order=order),
    )  # fmt: skip
    (found,) = readings_of(one, seen(1, alive=True), NOW)
    assert (found.service, found.adapters) == ("s", {"legal": "model/default/contracts"})
