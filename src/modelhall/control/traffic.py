"""What all gateways together see of one service: their reports, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelhall.core.kinds import Key
from modelhall.core.ports import traffic
from modelhall.core.ports.traffic import Load, Report, Tally

LOOK_EVERY_S = 0.5
SILENT_S = 5.0
"""A gateway that has reported nothing for so long is gone, or hangs: what it is at is not counted on any more."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Nothing of it is known where no gateway reports."""

    heard: int | None = None
    """The revision of the store that every gateway has followed it to; None when there is no gateway."""
    concurrency: float = 0.0
    waiting: int = 0
    requests: int = 0
    latency_s: float | None = None
    """At the slowest gateway."""
    in_flight: Mapping[str, int] = field(default_factory=Counter)
    """By the name of the replica's run."""
    tallies: Mapping[tuple[str, str], Tally] = field(default_factory=dict)
    """By trial and release."""

    def tally(self, trial: str, release: str) -> Tally:
        """What came of a release's requests in a trial."""
        return self.tallies.get((trial, release)) or Tally(trial=trial, release=release)


NOTHING = Traffic()


class Requests:
    """What the gateways told last."""

    def __init__(self, place: traffic.Traffic | None) -> None:
        """`place` is where they tell it; without one there is nothing to be heard."""
        self._place = place
        self._reports: list[Report] = []
        self.at = float("inf") if place is None else float("-inf")
        """When to look again, on a clock that never jumps."""

    async def look(self, now: float) -> list[Key]:
        """Hear what they tell now, and of which services that is something else."""
        assert self._place is not None
        self.at = now + LOOK_EVERY_S
        before = _by_service(self._reports)
        self._reports = await self._place.reports()
        after = _by_service(self._reports)
        changed = {
            path
            for at, path in before.keys() | after.keys()
            if before.get((at, path)) != after.get((at, path))
        }
        return [Key.parse(path) for path in sorted(changed)]

    def of(self, key: Key, now: float) -> Traffic:
        """What they tell of one service."""
        return seen(self._reports, key, now)


def seen(reports: Iterable[Report], key: Key, now: float) -> Traffic:
    """What the gateways see of the service at `key`. What was counted counts also when its gateway is gone."""
    there = list(reports)
    live = [report for report in there if abs(now - report.at) <= SILENT_S]
    if not live:
        return Traffic(tallies=_tallies(_of(there, key)))
    loads = _of(live, key)
    in_flight: Counter[str] = Counter()
    for load in loads:
        in_flight.update(load.in_flight)
    return Traffic(
        heard=min(report.revision for report in live),
        concurrency=sum(load.concurrency for load in loads),
        waiting=sum(load.waiting for load in loads),
        requests=sum(load.requests for load in loads),
        latency_s=max((load.latency_s for load in loads), default=0.0) or None,
        in_flight=in_flight,
        tallies=_tallies(_of(there, key)),
    )


def _by_service(reports: Iterable[Report]) -> dict[tuple[str, str], Load]:
    return {(one.gateway, path): load for one in reports for path, load in one.services.items()}


def _of(reports: Iterable[Report], key: Key) -> list[Load]:
    return [report.services[key.path] for report in reports if key.path in report.services]


def _tallies(loads: Iterable[Load]) -> dict[tuple[str, str], Tally]:
    found: dict[tuple[str, str], Tally] = {}
    for tally in (tally for load in loads for tally in load.tallies):
        place = (tally.trial, tally.release)
        found[place] = found[place] + tally if place in found else tally
    return found
