"""What gateways see of the requests to services, for whoever decides about replicas and versions.

Each gateway tells of itself; nobody adds up but the reader. A report says how things are, not what has changed, so
one that is lost or read twice does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from modelhall.core.kinds.base import Frozen

BUCKETS_S: tuple[float, ...] = tuple(0.001 * 2 ** (step / 4) for step in range(69))
"""Bounds of the buckets that waits are counted in: a fifth more each time, from 1 ms to over two minutes."""


class Tally(Frozen):
    """What came of the requests that one release got in one trial, such as a step of a canary."""

    trial: str
    release: str
    answers: int = 0
    failures: int = 0
    """Requests it broke off, did not answer in time, or answered with a 5xx; also those that another replica then
    answered."""
    waits: tuple[int, ...] = ()
    """How many answers began within each of `BUCKETS_S`, and how many later."""
    compared: int = 0
    """Of a shadow: answers that could be held against those the callers got."""
    differing: int = 0
    dropped: int = 0
    """Of a shadow: requests it was spared."""

    @property
    def requests(self) -> int:
        return self.answers + self.failures

    def __add__(self, other: Tally) -> Tally:
        longer, shorter = sorted((self.waits, other.waits), key=len, reverse=True)
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("answers", "failures", "compared", "differing", "dropped")
        }
        waits = [one + (shorter[at] if at < len(shorter) else 0) for at, one in enumerate(longer)]
        return Tally(trial=self.trial, release=self.release, waits=tuple(waits), **sums)


class Load(Frozen):
    """What one service is at."""

    concurrency: float = 0.0
    """Requests that were answered or waited for a replica, on the mean of the last seconds."""
    waiting: int = 0
    """Requests that wait for a replica now."""
    requests: int = 0
    """How many replicas were picked in the last seconds."""
    latency_s: float = 0.0
    """How long replicas take to begin an answer, lately; 0 when that is not known."""
    in_flight: Mapping[str, int] = {}
    """Requests at each replica that has any, by the name of its run."""
    tallies: tuple[Tally, ...] = ()


class Report(Frozen):
    """All that one gateway has to say."""

    gateway: str
    """Another one after each start."""
    at: float
    revision: int
    """How far it has followed the store."""
    services: Mapping[str, Load] = {}
    """By the path of the service's key; those alone of which something is decided by it."""


class Traffic(Protocol):
    """Where gateways leave their reports."""

    async def tell(self, report: Report) -> None:
        """Leave a report in place of the gateway's last one. Raises OSError."""
        ...

    async def reports(self) -> list[Report]:
        """The last report of every gateway, also of those that are gone since not too long ago."""
        ...
