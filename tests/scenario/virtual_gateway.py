"""Callers and gateways on the plant's clock: requests that take time, fail and wait, and the reports about them."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from modelhall.core.kinds import Key
from modelhall.core.kinds.service import ServiceResource
from modelhall.core.ports.traffic import BUCKETS_S, Load, Report, Tally
from modelhall.policy.split import is_drawn
from modelhall.twin.plant import Plant
from modelhall.twin.scheduler import finish

CALLERS = 400
WINDOW_S = 10


@dataclass
class Behaviour:
    """What a version does to requests."""

    takes_s: float = 0.1
    fails: float = 0.0


@dataclass
class VirtualGateway:
    """One gateway before the service `digits`; a second of it is one step of `serve`."""

    plant: Plant
    behaves: Callable[[str], Behaviour] = lambda version: Behaviour()
    """By version."""
    name: str = "g1"
    stuck: Counter[str] = field(default_factory=Counter)
    """Requests that do not come to their end, by the replica's run."""
    asked: Counter[str] = field(default_factory=Counter)
    """By version."""
    refused: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self._counted: dict[tuple[str, str], Tally] = {}
        self._lately: list[tuple[float, int]] = []
        self._held = 0

    def serve(self, seconds: int, rate: float, each: Callable[[], None] = lambda: None) -> None:
        """Let so many requests a second come, for so long."""
        for _ in range(seconds):
            self._second(rate)
            self.plant.advance(1.0)
            each()

    def _second(self, rate: float) -> None:
        service = self.plant.get("service", "digits")
        count = (
            self._held + sum(self.random.random() < rate / 1000 for _ in range(1000)) if rate else self._held
        )
        ready = service.status.ready
        self._held = 0 if ready else count
        busy_s = sum(self._answer(service) for _ in range(count)) if ready else float(self._held)
        self._lately = [*self._lately, (busy_s, count)][-WINDOW_S:]
        self._tell(service)

    def _answer(self, service: ServiceResource) -> float:
        """Have one request answered; how long that took."""
        progress, release = service.status.rollout, service.status.release.id
        version = service.status.version
        caller = f"caller {self.random.randrange(CALLERS)}"
        if progress is not None and is_drawn(caller, progress.share, progress.release):
            release, version = progress.release, progress.version
        self.asked[version] += 1
        behaviour = self.behaves(version)
        failed = self.random.random() < behaviour.fails
        took_s = behaviour.takes_s * self.random.uniform(0.8, 1.2)
        if progress is not None:
            self._count(progress.trial, release, failed, took_s)
        return took_s

    def _count(self, trial: str, release: str, failed: bool, took_s: float) -> None:
        waits = [0] * len(BUCKETS_S)
        waits[bisect_left(BUCKETS_S, took_s)] = int(not failed)
        one = Tally(trial=trial, release=release, answers=not failed, failures=failed, waits=tuple(waits))
        known = self._counted.get((trial, release))
        self._counted[trial, release] = one if known is None else known + one

    def _tell(self, service: ServiceResource) -> None:
        load = Load(
            concurrency=sum(busy_s for busy_s, _ in self._lately) / len(self._lately),
            waiting=self._held,
            requests=sum(count for _, count in self._lately),
            latency_s=self.behaves(service.status.version or "").takes_s,
            in_flight=dict(self.stuck),
            tallies=tuple(self._counted.values()),
        )
        revision = finish(self.plant.store.revision())
        key = Key("service", "default", "digits")
        report = Report(
            gateway=self.name, at=self.plant.clock.now(), revision=revision, services={key.path: load}
        )
        finish(self.plant.traffic.tell(report))
