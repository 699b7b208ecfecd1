"""Which run starts where and when. One file a policy, each a pure `place(queue, nodes, projects)`.

Facts go in as frozen values, decisions come out: a `Placement` for each run that starts now, a `Hold` with its
reason in words for each that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A run that waits to be started."""

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
    """How many processes it asks for; all are placed on one node, or none."""
    fewest_workers: int = 1
    """With how many it makes do."""
    only_on: frozenset[str] | None = None
    """Names of the only nodes it can run on; None where any will do."""

    def may_be_on(self, node: str) -> bool:
        return self.only_on is None or node in self.only_on


@dataclass(frozen=True, kw_only=True)
class Room:
    """A node and what of it is not taken."""

    name: str
    cpus: float
    memory_bytes: int
    free_cpus: float
    free_memory_bytes: int
    holders: tuple[str, ...] = ()
    """Names of the runs on it, for the reason given to those that wait."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a project holds now, and the most it may."""

    used_cpus: float
    most_cpus: float | None


class Placement(NamedTuple):
    project: str
    run: str
    node: str
    workers: int = 1


class Hold(NamedTuple):
    project: str
    run: str
    reason: str
    never: bool
    """Whether no change of the present load would start it."""
