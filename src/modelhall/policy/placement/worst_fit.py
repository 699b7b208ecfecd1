"""`worst-fit`: the node with the most left, so that the load is even."""

from __future__ import annotations

from modelhall.policy.placement import Score, Typical, best_fit
from modelhall.policy.room import Free


def score(typical: Typical) -> Score:
    left = best_fit.score(typical)

    def taken(before: Free, after: Free) -> float:
        return -left(before, after)

    return taken
