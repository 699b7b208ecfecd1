"""Who starts programs on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from modelhall.core.kinds.node import HOME
from modelhall.core.kinds.run import Exit, Progress
from modelhall.core.ports.sensor import Figure


@dataclass(frozen=True, order=True)
class AttemptId:
    """One attempt of one run; a launcher starts it at most once."""

    run_uid: str
    number: int
    node: str = field(default="", compare=False)
    """Where it was placed, by which one of several launchers is told apart; no part of which attempt it is."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """All a launcher must know to start an attempt."""

    id: AttemptId
    run: str
    node: str
    argv: tuple[str, ...]
    """Program and arguments. A launcher replaces a leading `python` by its own interpreter."""
    order: Mapping[str, Any] | None
    """For a stage: written to `order.json` in the work folder, together with where that folder is."""
    cpus: float
    """Of all its workers together, and so is its memory."""
    threads: int
    """Of each worker."""
    memory_bytes: int | None
    workers: int = 1
    """How many processes the program may be: a gang, told in its order how many and where on the node they meet."""
    gpus: tuple[tuple[int, int], ...] = ()
    """Which GPUs of the node it is given: number, thousandths."""
    timeout_s: float | None = None
    """An attempt that runs longer is ended; counted by a clock that nobody sets."""
    project: str = "default"
    secrets: tuple[str, ...] = ()
    """Names of secrets of the project, whose values the program is handed by descriptor."""
    hall_secrets: tuple[str, ...] = ()
    """Names of secrets of the hall's own, handed over the same way."""
    epoch: int = 0
    """The term of the control plane that asks."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a launcher sees of an attempt.

    `alive` is None when it knows nothing of it: never started, or started and lost.
    """

    alive: bool | None
    exit: Exit | None = None
    cpu_s: float = field(default=0.0, compare=False)
    """CPU time so far, over all processes of the attempt. Not compared: growing is not a change."""
    progress: Progress | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    address: str | None = None
    result: Mapping[str, Any] | None = None
    """What the program wrote at its end: `{"output": …}` or `{"problem": …}`."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What an attempt takes of its node, over all its processes; None where that cannot be told."""

    cpu_s: float
    """Since its start, as are bytes read and written."""
    memory_bytes: int | None = None
    """Held now; what the kernel could drop at once is left out."""
    read_bytes: int | None = None
    """From disks."""
    written_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """A piece of an attempt's output. It starts later than asked for where older output was dropped."""

    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """A machine as the launcher finds it now."""

    name: str
    cpus: float
    memory_bytes: int
    processor: str
    gpus: int = 0
    gpu_type: str = ""
    """Such as H100; all GPUs of a node are alike."""
    ready: bool = True
    address: str = "127.0.0.1"
    """Where its replicas and the workers of its gangs are reached."""
    launcher: str = HOME
    """The file in modelhall/adapters/launcher that starts programs on it."""
    unfit: str = ""
    """Why nothing is to be started on it, such as devices that cannot be what it says; empty where it is fit. Of one
    that is not ready: how the launcher knows that it is gone, so that nobody waits for it to be heard of."""
    failed_check: str = ""
    """What it got wrong of which the answer is known. That is held against it until somebody says otherwise."""
    figures: tuple[Figure, ...] = ()
    """What its sensors said last, where its launcher is told that: on another machine."""
    read_at: float = 0.0
    """When that was, by a clock of the machine that nobody sets."""


class Launcher(Protocol):
    """An attempt is known by its id alone; its node is told for those who pass on to one of several launchers."""

    async def start(self, launch: Launch) -> None:
        """Start the attempt, unless it has been started before. Raises Stale when a later epoch than the
        launch's is known, NotNow when the machine cannot start anything for the moment."""
        ...

    async def fence(self, epoch: int) -> None:
        """From now on, refuse launches of an earlier epoch, durably and whoever asks. Raises Stale when a later
        one is known, NotNow when it cannot be said for the moment."""
        ...

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        """What each attempt is doing. Those of which nothing can be said for the moment, since their node is not
        heard of, are left out."""
        ...

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        """What attempts take of their nodes, of those that are alive. It costs more than to observe them."""
        ...

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        """Ask the attempt to end, and end it after `grace_s`. Returns at once; harmless when it is over."""
        ...

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        """The attempt's output from byte `offset`; empty when there is no more yet. Kept until the run is
        forgotten, its oldest part excepted when there is much of it."""
        ...

    async def forget(self, run_uid: str) -> None:
        """Remove everything kept about a run that is over; from a node that is out of reach once it is back."""
        ...

    async def nodes(self) -> list[NodeReport]: ...
