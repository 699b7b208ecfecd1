"""Who starts programs on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from modelhall.core.kinds.run import Exit, Progress


class AttemptId(NamedTuple):
    """One attempt of one run; a launcher starts it at most once."""

    run_uid: str
    number: int


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
    threads: int
    memory_bytes: int | None


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
class NodeReport:
    """A machine as the launcher finds it now."""

    name: str
    cpus: float
    memory_bytes: int
    processor: str
    ready: bool = True


class Launcher(Protocol):
    async def start(self, launch: Launch) -> None:
        """Start the attempt, unless it has been started before."""
        ...

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        """What each attempt is doing; an answer for every id asked."""
        ...

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        """Ask the attempt to end, and end it after `grace_s`. Returns at once; harmless when it is over."""
        ...

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> bytes:
        """The attempt's output from byte `offset`; empty when there is no more yet."""
        ...

    async def forget(self, run_uid: str) -> None:
        """Remove everything kept about a run that is over."""
        ...

    async def nodes(self) -> list[NodeReport]: ...
