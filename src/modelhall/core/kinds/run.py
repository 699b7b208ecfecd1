"""`run`: one piece of work on a node, made by the hall for its models, or asked for directly."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from modelhall.core.kinds.base import Document, Frozen, Resource, Resources, Status
from modelhall.core.names import Name

ACTIVE = ("starting", "running")
DONE = ("succeeded", "failed", "cancelled")


class Stage(Frozen):
    """A program of the hall's own and the order it is to carry out."""

    program: str
    """prepare, erase, search, train, lend, evaluate, compress, sign or serve."""
    order: dict[str, Any]
    key: str | None = None
    """Address of the result: runs of one key would compute the same. None for replicas."""


class Run(Document):
    kind: Literal["run"] = "run"
    command: tuple[str, ...] | None = Field(default=None, description="Program and arguments.")
    stage: Stage | None = Field(default=None, description="Set by the hall for its own runs.")
    owner: str | None = Field(default=None, description="Set by the hall: what this run is for.")
    resources: Resources = Field(default_factory=Resources)
    priority: int = Field(default=0, ge=-1000, le=1000, description="Higher starts first.")
    deadline: AwareDatetime | None = Field(
        default=None, description="When it should be over: it goes first when it is about to be too late."
    )
    retries: int = Field(default=3, ge=0, le=1000, description="New attempts after a failure of the machine.")
    timeout_s: float | None = Field(
        default=None, gt=0, description="An attempt that runs longer is ended and the run fails."
    )
    secrets: tuple[Name, ...] = Field(
        default=(), description="Secrets of the project that the program is handed by descriptor."
    )
    restart: bool = Field(default=False, description="Whether it is started again whenever it ends.")
    cancelled: bool = Field(default=False, description="Whether it is to stop and not be started again.")

    @model_validator(mode="after")
    def _has_workers_for_training_only(self) -> Self:
        trains = self.stage is not None and self.stage.program in ("train", "lend")
        if self.resources.workers.max > 1 and not trains:
            raise ValueError("resources.workers: a run is one process; a model's training has workers")
        return self

    @field_validator("command")
    @classmethod
    def _can_be_passed_on(cls, command: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if any("\0" in word for word in command or ()):
            raise ValueError("a word of a command has a NUL character, which no program can be given")
        return command


class Exit(Frozen):
    """How an attempt ended. Times in seconds, CPU time over all its processes."""

    code: int | None = None
    signal: int | None = None
    stopped: bool = False
    """Whether it had been asked to end."""
    timed_out: bool = False
    out_of_memory: bool = False
    """Whether it was ended for using all of the memory it asked for."""
    cpu_s: float = 0.0
    peak_bytes: int = 0
    """Of all processes together where the kernel counts that, else of the largest."""
    ended_at: float


class Attempt(Frozen):
    number: int
    node: str
    started_at: float
    workers: int = 1
    """How many it was placed with, on its node."""
    lent: int = 0
    """How many more it was placed with that other runs lend it, on other nodes."""
    gpus: tuple[tuple[int, int], ...] = ()
    """Which GPUs of its node it was given: number, thousandths."""
    exit: Exit | None = None


class Progress(Frozen):
    """How far a run is; `rate` is in units a second."""

    done: float
    total: float | None = None
    unit: str = ""
    rate: float | None = None
    left_s: float | None = None
    message: str = ""


class RunStatus(Status):
    """States: waiting, queued, starting, running, succeeded, failed, cancelled."""

    state: str = "waiting"
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    node: str | None = None
    not_before: float = 0.0
    """A run that failed is not started again before this instant."""
    failures: int = 0
    """Attempts in a row that ended by the machine's fault."""
    progress: Progress | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    address: str | None = None
    """host:port of a replica that is ready, or of a training where workers on other nodes find it."""
    result: dict[str, Any] | None = None
    yields_to: str | None = None
    """The run for which its attempt is to make room."""

    @property
    def workers(self) -> int:
        """How many the newest attempt was placed with, on its node."""
        return self.attempts[-1].workers if self.attempts else 1


RunResource = Resource[Run, RunStatus]


def held_cpus(run: RunResource) -> float:
    """What all workers of a run that is placed hold together."""
    return run.document.resources.cpus * run.status.workers


def held_bytes(run: RunResource) -> int:
    """The same of memory."""
    return run.document.resources.memory_bytes * run.status.workers


def held_gpus(run: RunResource) -> float:
    """The same of GPUs."""
    return run.document.resources.gpus * run.status.workers
