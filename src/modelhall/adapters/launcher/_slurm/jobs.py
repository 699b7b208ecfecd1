"""Slurm's words about a job, and what each means for an attempt."""

from __future__ import annotations

from typing import NamedTuple

from modelhall.core.kinds.base import Problem
from modelhall.core.kinds.run import Exit

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
"""It runs nowhere: not yet, or, once it has run, not any more."""
OVER = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "RECONFIG_FAIL", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
"""Whatever else Slurm says, it runs, or may."""
MADE_TO_STOP = WAITING | {"CANCELLED", "DEADLINE", "PREEMPTED", "REVOKED", "TIMEOUT"}
"""Somebody's will, and no failure of the program or its machine. A time limit is the partition's: the run's own is
kept by its supervisor."""

REFUSED = "requeued held"
"""How the reason ends, such as `launch failed requeued held`."""


class Job(NamedTuple):
    id: str
    state: str
    reason: str

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def is_waiting(self) -> bool:
        return self.state in WAITING

    @property
    def is_refused(self) -> bool:
        """Whether its node would not launch it: Slurm holds it until an administrator lets it go, which may be never.
        One that somebody holds is told by other words."""
        return self.is_waiting and self.reason.replace("_", " ").endswith(REFUSED)

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        return f"job {self.id} is {self.state}{why}"


def as_slurm_has_it(exit: Exit, job: Job | None) -> Exit:
    """How an attempt ended, by what its supervisor has written down and by what Slurm says of its job."""
    if job is None:
        return exit
    stopped = exit.stopped or (job.state in MADE_TO_STOP and not job.is_refused)
    return exit.model_copy(
        update={"stopped": stopped, "out_of_memory": exit.out_of_memory or job.state == "OUT_OF_MEMORY"}
    )


def problem_of(job: Job | None) -> Problem:
    """What is wrong with an attempt of which Slurm says that it is over, or to wait again."""
    if job is None:
        message = "Slurm knows its job no more, and it left no word of its end"
    elif job.is_refused:
        message = f"Slurm could not launch it: {job}"
    elif job.is_waiting:
        message = f"Slurm took it off its node and queued it again: {job}"
    else:
        message = f"Slurm ended it: {job}"
    return Problem(message=message, who="time")
