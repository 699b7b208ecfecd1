"""`best-fit`: the node with the least left, each thing measured by the most that a node has of it."""

from __future__ import annotations

from modelhall.policy.placement import Score, Typical
from modelhall.policy.room import Free


def score(typical: Typical) -> Score:
    cpus, memory, gpus = (max(1, most) for most in _amounts(typical.largest))

    def left(before: Free, after: Free) -> float:
        return after.cpus_milli / cpus + after.memory_bytes / memory + sum(after.gpus) / gpus

    return left


def _amounts(free: Free) -> tuple[int, int, int]:
    return free.cpus_milli, free.memory_bytes, sum(free.gpus)
