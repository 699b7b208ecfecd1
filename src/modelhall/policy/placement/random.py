"""`random`: any node that has room, each with the same chance. What other rules are measured against."""

from __future__ import annotations

from modelhall.policy.placement import Score, Typical
from modelhall.policy.placement.first_fit import score as _score

BY_CHANCE = True


def score(typical: Typical) -> Score:
    return _score(typical)
