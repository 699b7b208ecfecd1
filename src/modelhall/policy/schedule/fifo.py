"""`fifo`: by age alone, and nobody overtakes. What other policies are measured against."""

from __future__ import annotations

from modelhall.policy.schedule import Asking
from modelhall.policy.standing import Standing
from modelhall.policy.standing.round import Outcome, in_order

BY_PROJECT = False


def order(asking: Asking) -> tuple[float, str, str]:
    return (asking.since, asking.project, asking.name)


def decide(standing: Standing) -> Outcome:
    return in_order(standing, lambda group: 0.0)
