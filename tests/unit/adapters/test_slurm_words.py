"""What Slurm's words mean for a hall, be they usual, odd or damaged."""

from __future__ import annotations

import pytest

from modelhall.adapters.launcher._slurm import nodes
from modelhall.adapters.launcher._slurm.jobs import OVER, WAITING, Job, as_slurm_has_it, problem_of
from modelhall.core.kinds.run import Exit

ENDED = Exit(ended_at=1.0)


def row(state: str = "idle", *, name: str = "gpu1", gres: str = "(null)", reason: str = "none") -> str:
    return f"{name}  |batch* |10.0.0.1 |64 |256000 |{gres} |{state} |{reason} |\n"


def test_a_node_is_what_slurm_says_under_a_name_that_a_hall_can_have() -> None:
    table = row(name="GPU_1.rack", gres="gpu:h100:8(S:0-1),shard:4") + row(name="GPU_1.rack").replace(
        "batch*", "long"
    )
    node = nodes.read(row(name="n2") + table)["gpu-1-rack"]
    assert (node.name, node.partitions) == ("GPU_1.rack", ("batch", "long"))
    report = nodes.read(row(gres="gpu:a100:2,gpu:h100:6"))["gpu1"].report
    assert (report.cpus, report.memory_bytes, report.address) == (64.0, 256000 * 2**20, "10.0.0.1")
    assert (report.gpus, report.gpu_type) == (6, "h100"), "the type it has most of"


@pytest.mark.parametrize(
    ("state", "is_ready", "is_fit"),
    [
        ("idle", True, True), ("mixed", True, True), ("allocated+completing", True, True),
        ("idle+cloud+powered_down", True, True), ("idle+drain", True, False), ("mixed+draining", True, False),
        ("allocated+not_responding", True, False), ("idle+maintenance", True, False), ("down", False, False),
        ("down+drain+not_responding", False, False), ("unknown+not_responding", True, False),
    ],
)  # fmt: skip
def test_a_node_is_lost_when_slurm_says_down_and_left_alone_when_it_says_less(
    state: str, is_ready: bool, is_fit: bool
) -> None:
    report = nodes.read(row(state, reason="disk | sda"))["gpu1"].report
    assert (report.ready, not report.unfit) == (is_ready, is_fit)
    assert is_fit or report.unfit == f"Slurm says {state}: disk | sda"


@pytest.mark.parametrize(
    "table", ["", "\n\n", "sinfo: odd", "a|b|c", row(name="9"), row().replace("64", "many")]
)
def test_what_makes_no_sense_is_passed_over(table: str) -> None:
    assert nodes.read(table) == {}
    assert nodes.read(table + "\n" + row()).keys() == {"gpu1"}


@pytest.mark.parametrize("state", sorted(OVER | WAITING))
def test_every_end_that_slurm_knows_is_told_in_its_own_word(state: str) -> None:
    job = Job("7", state, "Some | reason")
    problem = problem_of(job)
    assert f"job 7 is {state} (Some | reason)" in problem.message
    assert problem.who == "time"


@pytest.mark.parametrize(
    ("state", "stopped", "out_of_memory"),
    [
        ("PENDING", True, False), ("PREEMPTED", True, False), ("TIMEOUT", True, False), ("CANCELLED", True, False),
        ("NODE_FAIL", False, False), ("BOOT_FAIL", False, False), ("FAILED", False, False),
        ("OUT_OF_MEMORY", False, True), ("COMPLETED", False, False),
    ],
)  # fmt: skip
def test_what_somebody_willed_is_no_failure_and_what_broke_is(
    state: str, stopped: bool, out_of_memory: bool
) -> None:
    exit = as_slurm_has_it(ENDED, Job("7", state, "None"))
    assert (exit.stopped, exit.out_of_memory, exit.timed_out) == (stopped, out_of_memory, False)
    assert as_slurm_has_it(ENDED, None) == ENDED


@pytest.mark.parametrize(
    ("reason", "is_refused"),
    [
        ("launch failed requeued held", True), ("launch_failure_limit_exceeded_requeued_held", True),
        ("user env retrieval failed requeued held", True), ("job requeued in held state", False),
        ("JobHeldAdmin", False), ("Resources", False),
    ],
)  # fmt: skip
def test_a_job_that_no_node_would_launch_is_a_failure_and_one_that_somebody_holds_is_none(
    reason: str, is_refused: bool
) -> None:
    job = Job("7", "PENDING", reason)
    assert job.is_refused == is_refused
    assert as_slurm_has_it(ENDED, job).stopped != is_refused
    assert ("could not launch" in problem_of(job).message) == is_refused
    assert not Job("7", "RUNNING", reason).is_refused
