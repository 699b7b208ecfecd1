"""`first-fit`: replicas first, then by priority, then by age, and nobody overtakes.

Who waits for room is in the way of all behind him who ask for something that he waits for too, unless not even an
idle hall could start him. Who waits for his project's quota is in the way of that project alone. With the placement
`first-fit`, each is put on the first node with room.
"""

from __future__ import annotations

from modelhall.policy.schedule import Asking
from modelhall.policy.standing import Standing
from modelhall.policy.standing.round import Outcome, in_order

BY_PROJECT = False


def order(asking: Asking) -> tuple[bool, int, float, str, str]:
    return (not asking.serves, -asking.priority, asking.since, asking.project, asking.name)


def decide(standing: Standing) -> Outcome:
    return in_order(standing, lambda group: 0.0)
