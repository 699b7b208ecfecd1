"""A trace lived through again under a policy: the same code that decides in a hall, asked at every event.

The loop, the store and the launcher are left out: a trace of a hundred thousand jobs takes minutes so, and what they
would add are seconds of a job's days. How the loop itself acts, `plant.py` shows.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from modelhall.policy import deciding, expecting
from modelhall.policy.deciding import Parts
from modelhall.policy.room import shape_of
from modelhall.policy.schedule import Facts, Held, Room, RunKey, Share
from modelhall.policy.standing import Standing
from modelhall.twin.traces import Job

Expects = Literal["told", "true", "learned", "nothing"]
"""How long runs are expected to take: what the trace tells, the truth, what like ones took, or not known."""
GRACE_S = 30.0
"""How long a run that makes room takes to leave its state behind."""


class Failure(NamedTuple):
    """A node that is gone from one instant to another."""

    node: str
    at_s: float
    back_s: float


@dataclass(kw_only=True)
class Life:
    """What became of one job."""

    job: Job
    left_s: float
    started_s: float | None = None
    """When it first began."""
    ended_s: float | None = None
    preempted: int = 0
    lost: int = 0
    """How often its node failed."""


class Sample(NamedTuple):
    """How things were from an instant on."""

    at_s: float
    gpus: float
    """Held."""
    waiting: int


@dataclass(kw_only=True)
class Played:
    """All that happened."""

    name: str
    gpus: float
    """There are, while no node is gone."""
    lives: list[Life]
    samples: list[Sample] = field(default_factory=list)
    rounds: int = 0


def play(
    name: str,
    jobs: Sequence[Job],
    rooms: Sequence[Room],
    parts: Parts,
    *,
    shares: Mapping[str, Share] | None = None,
    expects: Expects = "told",
    failures: Iterable[Failure] = (),
    checkpoint_s: float = 600.0,
) -> Played:
    """Live through `jobs` to the last one's end. A job whose node fails does again what it did since the last of the
    checkpoints it leaves every `checkpoint_s`."""
    return _Replay(name, jobs, rooms, parts, shares or {}, expects, checkpoint_s).run(failures)


class _Replay:
    def __init__(
        self, name: str, jobs: Sequence[Job], rooms: Sequence[Room], parts: Parts, shares: Mapping[str, Share],
        expects: Expects, checkpoint_s: float,
    ) -> None:  # fmt: skip
        typical = deciding.typical_of(rooms, (job.asking for job in jobs))
        facts = Facts(now=0.0, queue=(), nodes=rooms, projects=shares)
        self._standing: Standing = deciding.begin(facts, parts, typical)
        self._decide = parts.schedule.decide
        self._rooms = {room.name: room for room in rooms}
        self._expects = expects
        self._learned = expecting.Durations()
        self._checkpoint_s = checkpoint_s
        self._lives = {job.asking.key: Life(job=job, left_s=job.takes_s) for job in jobs}
        self._events: list[tuple[float, int, str, object]] = []
        self._numbers = itertools.count()
        self._turns: dict[RunKey, int] = defaultdict(int)
        """Which beginning of a run an end belongs to: what was to end and was interrupted does not."""
        self._gpus = 0.0
        gpus = float(sum(room.gpus for room in rooms))
        self.played = Played(name=name, gpus=gpus, lives=list(self._lives.values()))

    def run(self, failures: Iterable[Failure]) -> Played:
        for life in self.played.lives:
            self._at(life.job.arrives_s, "arrives", life.job.asking.key)
        for failure in failures:
            self._at(failure.at_s, "fails", failure.node)
            self._at(failure.back_s, "is back", failure.node)
        while self._events:
            now = self._events[0][0]
            self._standing.pass_time(now)
            while self._events and self._events[0][0] <= now:
                _, _, what, about = heapq.heappop(self._events)
                self._happens(what, about)
            self._round()
            self.played.samples.append(Sample(now, self._gpus, len(self._standing.line)))
        return self.played

    def _at(self, at_s: float, what: str, about: object) -> None:
        heapq.heappush(self._events, (at_s, next(self._numbers), what, about))

    def _happens(self, what: str, about: object) -> None:
        match what, about:
            case "arrives", RunKey():
                self._wait(about)
            case "ends", (RunKey() as key, int() as turn):
                if self._turns[key] == turn:
                    self._end(key)
            case "leaves", (RunKey() as key, int() as turn):
                if self._turns[key] == turn:
                    self._lives[key].preempted += 1
                    self._interrupt(key, kept_s=self._standing.now - self._standing.held[key].started_at)
            case "fails", str():
                self._fail(about)
            case "is back", str():
                self._standing.floor.put(self._rooms[about])

    def _wait(self, key: RunKey) -> None:
        life = self._lives[key]
        asking = life.job.asking
        if self._expects != "told":
            expected_s = {"true": life.left_s, "learned": self._learned.expected_s(asking)}.get(self._expects)
            asking = replace(asking, expected_s=expected_s)
        self._standing.line.add(asking)

    def _round(self) -> None:
        standing, now = self._standing, self._standing.now
        outcome = self._decide(standing)
        self.played.rounds += 1
        for placed in outcome.placements:
            key = placed.key
            life = self._lives[key]
            life.started_s = now if life.started_s is None else life.started_s
            self._turns[key] += 1
            self._gpus += _gpus(standing.held[key])
            self._at(now + life.left_s, "ends", (key, self._turns[key]))
        for going in outcome.preemptions:
            key = going.key
            standing.replace(replace(standing.held[key], leaving=True))
            self._at(now + GRACE_S, "leaves", (key, self._turns[key]))

    def _end(self, key: RunKey) -> None:
        life = self._lives[key]
        held = self._standing.end(key)
        self._turns[key] += 1
        self._gpus -= _gpus(held)
        life.left_s, life.ended_s = 0.0, self._standing.now
        self._learned.took(held.asking, life.job.takes_s)

    def _interrupt(self, key: RunKey, *, kept_s: float) -> None:
        held = self._standing.end(key)
        self._turns[key] += 1
        self._gpus -= _gpus(held)
        self._lives[key].left_s = max(1.0, self._lives[key].left_s - kept_s)
        self._wait(key)

    def _fail(self, node: str) -> None:
        for key, held in list(self._standing.on.get(node, {}).items()):
            ran_s = self._standing.now - held.started_at
            self._lives[key].lost += 1
            self._interrupt(key, kept_s=ran_s // self._checkpoint_s * self._checkpoint_s)
        self._standing.floor.remove(node)


def _gpus(held: Held) -> float:
    return shape_of(held.asking).gpus_milli / 1000 * held.workers
