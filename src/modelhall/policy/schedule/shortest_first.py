"""`shortest-first`: who is expected to run for the shortest time goes first; the first who waits has a reservation.

With durations that are true it comes near the least mean completion time there can be; who asks for long waits long.
"""

from __future__ import annotations

import math

from modelhall.policy.schedule import Asking
from modelhall.policy.standing import Standing
from modelhall.policy.standing.round import Outcome, with_backfill

BY_PROJECT = False


def order(asking: Asking) -> tuple[bool, float, float, str, str]:
    expected_s = math.inf if asking.expected_s is None else asking.expected_s
    return (not asking.serves, expected_s, asking.since, asking.project, asking.name)


def decide(standing: Standing) -> Outcome:
    return with_backfill(standing, lambda group: 0.0)
