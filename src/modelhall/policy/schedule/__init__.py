"""Which run starts where and when. One file a policy: in what `order` runs wait, and how to `decide` who starts.

Facts go in as frozen values, decisions come out: a `Placement` for each run that starts now, a `Hold` with its
reason in words for each that does not, a `Preemption` for each that is to make room. A policy works on the facts as
`policy/standing/` keeps them, indexed; on which of the nodes with room a run starts is a choice of its own
(`policy/placement/`). `policy/deciding.py` puts both together to one function of facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class RunKey(NamedTuple):
    project: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """A run, and what it asks for."""

    name: str
    project: str
    cpus: float
    """Of each of its workers."""
    memory_bytes: int
    """Of each of its workers."""
    serves: bool
    """Whether it is a replica: services go before batch work."""
    priority: int
    since: float
    workers: int = 1
    """How many processes it asks for; all are placed, or none."""
    fewest_workers: int = 1
    """With how many it makes do."""
    gpus: float = 0.0
    """Of each of its workers: whole ones, or a part of one."""
    gpu_type: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    """What the labels of its nodes have to say."""
    only_on: frozenset[str] | None = None
    """The names of the nodes it may be on; None where any will do."""
    spans: bool = False
    """Whether its workers may be on several nodes."""
    pack: str = ""
    """The label, such as rack, of which its workers' nodes are to have as few values as can be."""
    spread: str = ""
    """The label of which they are to have as many as can be."""
    of: str = ""
    """Of which service it is a replica: those are kept apart."""
    expected_s: float | None = None
    """How long it is expected to run."""
    deadline: float | None = None
    """When it should be over."""
    preemptible: bool = True

    @property
    def key(self) -> RunKey:
        return RunKey(self.project, self.name)


@dataclass(frozen=True, kw_only=True)
class Room:
    """A node and what of it is not taken."""

    name: str
    cpus: float
    memory_bytes: int
    free_cpus: float
    free_memory_bytes: int
    gpus: int = 0
    free_gpus: tuple[float, ...] = ()
    """How much of each of its GPUs is free."""
    gpu_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    holders: tuple[str, ...] = ()
    """Names of the runs on it, for the reason given to those that wait."""


class Part(NamedTuple):
    """The workers of a run that are on one node, and which of its GPUs they have: number of the GPU, thousandths."""

    node: str
    workers: int
    gpus: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A run that has been placed, and what it holds. What is free on its nodes is without this."""

    asking: Asking
    parts: tuple[Part, ...]
    started_at: float
    ends_at: float | None = None
    """When it is expected to be over; None when nobody knows."""
    leaving: bool = False
    """Whether it has been told to make room."""

    @property
    def workers(self) -> int:
        return sum(part.workers for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a project holds now, what it used lately, and what it may."""

    used_cpus: float
    most_cpus: float | None
    used_memory_bytes: int = 0
    used_gpus: float = 0.0
    most_gpus: float | None = None
    borrows: bool = False
    """Whether it may hold more than its quota as long as nobody claims it back."""
    weight: float = 1.0
    use: float = 0.0
    """Its dominant share over the time that has passed, the longer ago the less it counts."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a decision on the queue depends on."""

    now: float
    queue: Sequence[Asking]
    nodes: Sequence[Room]
    projects: Mapping[str, Share] = field(default_factory=dict)
    held: Sequence[Held] = ()


class Placement(NamedTuple):
    project: str
    run: str
    parts: tuple[Part, ...]

    @property
    def key(self) -> RunKey:
        return RunKey(self.project, self.run)

    @property
    def node(self) -> str:
        return self.parts[0].node

    @property
    def workers(self) -> int:
        return sum(part.workers for part in self.parts)


class Hold(NamedTuple):
    project: str
    run: str
    reason: str
    never: bool
    """Whether no change of the present load would start it."""

    @property
    def key(self) -> RunKey:
        return RunKey(self.project, self.run)


class Preemption(NamedTuple):
    """A run that is to end its attempt, keep what it has done, and wait again."""

    project: str
    run: str
    by: RunKey
    """For whom it makes room."""

    @property
    def key(self) -> RunKey:
        return RunKey(self.project, self.run)


Decision = Placement | Hold | Preemption
