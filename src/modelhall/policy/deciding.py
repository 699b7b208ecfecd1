"""A scheduling policy as one function of facts: an order with its way to decide, and a rule of placement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from types import ModuleType
from typing import NamedTuple

from modelhall.core import plugins
from modelhall.policy.placement import Typical
from modelhall.policy.room import Free, Shape, shape_of, whole_of
from modelhall.policy.schedule import Asking, Decision, Facts, Room
from modelhall.policy.standing import Standing

Policy = Callable[[Facts], list[Decision]]
SEED = 0
USUAL_PLACEMENT = "fragmentation"


class Parts(NamedTuple):
    """The two plug-ins that a policy is made of."""

    schedule: ModuleType
    placement: ModuleType


def policy(schedule: str, placement: str) -> Policy:
    """The policy of these names; raises Rejected where there is none."""
    parts = parts_of(schedule, placement)

    def decide(facts: Facts) -> list[Decision]:
        """A decision for every run that waits, those that start first, and for every run that is to make room."""
        asked = [*facts.queue, *(held.asking for held in facts.held)]
        standing = begin(facts, parts, typical_of(facts.nodes, asked))
        outcome = parts.schedule.decide(standing)
        return [*outcome.placements, *outcome.preemptions, *outcome.holds(standing)]

    return decide


def named(name: str) -> Policy:
    """The policy called `SCHEDULE+PLACEMENT`, or `SCHEDULE` with the usual placement."""
    schedule, _, placement = name.partition("+")
    return policy(schedule, placement or USUAL_PLACEMENT)


def parts_of(schedule: str, placement: str) -> Parts:
    return Parts(
        plugins.load("schedule", schedule, field="schedule"),
        plugins.load("placement", placement, field="placement"),
    )


def begin(facts: Facts, parts: Parts, typical: Typical, seed: int = SEED) -> Standing:
    """A standing on which the policy decides."""
    return Standing(
        facts,
        parts.placement.score(typical),
        order=parts.schedule.order,
        by_project=parts.schedule.BY_PROJECT,
        chance=Random(seed) if getattr(parts.placement, "BY_CHANCE", False) else None,
    )


def typical_of(nodes: Iterable[Room], asked: Iterable[Asking]) -> Typical:
    """What is usual among these nodes and runs."""
    wholes = [whole_of(room) for room in nodes]
    most_gpus = max((len(whole.gpus) for whole in wholes), default=0)
    largest = Free(
        max((whole.cpus_milli for whole in wholes), default=0),
        max((whole.memory_bytes for whole in wholes), default=0),
        (1000,) * most_gpus,
    )
    counts = Counter[Shape](shape_of(asking, 1) for asking in asked)
    total = counts.total()
    return Typical(largest=largest, asks=[(shape, count / total) for shape, count in counts.items()])
