"""What is told of the queue: to people at a terminal, and to programs."""

from __future__ import annotations

from modelhall.core.kinds.base import Frozen


class ProjectPicture(Frozen):
    """One project: what it is due by its weight, and what it has. Shares are parts of one."""

    project: str
    weight: float
    due: float
    holds: float
    """The largest of its shares of processors, memory and GPUs."""
    lately: float
    """The same over the last days, the longer ago the less it counts."""
    cpus: float
    gpus: float
    most_cpus: float | None
    most_gpus: float | None
    borrows: bool
    running: int
    waiting: int


class QueuePicture(Frozen):
    at: float
    projects: tuple[ProjectPicture, ...]


class ChangePicture(Frozen):
    """What would have a run start sooner, such as `with 2 GPUs less`."""

    words: str
    starts_in_s: float


class RunPicture(Frozen):
    """What a run that waits has before it. Times are guesses, and null where there is none."""

    run: str
    reason: str
    place: int | None
    ahead: tuple[str, ...]
    starts_in_s: float | None
    soonest_s: float | None
    latest_s: float | None
    changes: tuple[ChangePicture, ...]
