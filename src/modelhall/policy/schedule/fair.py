"""`fair`: each project by its weight; what nobody waits for is lent, and claimed back.

Replicas go first, then projects that hold less than what is their own, then the others; among them it is the turn
of the one that has the least over its weight, now and lately (`standing/tenants.py`). In a project a point of
priority is worth an hour of waiting, and who should be over by a deadline goes as if he had waited for a day when it
is about to be too late: every run comes to be the first at last. The first who waits for room has it kept free for
him, and others overtake him only where they are not in his way, as far as one can tell by how long they are expected
to run. Who has been overtaken within his project, and has waited for a day, is overtaken no more.

Replicas, projects that lend what is theirs, and urgent runs have others make room (`standing/claims.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from modelhall.policy.schedule import Asking
from modelhall.policy.standing import Standing
from modelhall.policy.standing.line import SERVICES, Turn
from modelhall.policy.standing.round import Outcome, never, with_backfill
from modelhall.policy.standing.tenants import is_owed

BY_PROJECT = True
POINT_S = 3600.0
AHEAD_S = 24 * 3600.0
PATIENCE_S = 24 * 3600.0
Place = tuple[float, float, str, str]


def order(asking: Asking) -> Place:
    """By when a run would have come if it had no priority and no deadline."""
    as_if_since = asking.since - asking.priority * POINT_S
    if asking.deadline is not None:
        latest_start = asking.deadline - (asking.expected_s or 0.0)
        as_if_since = min(as_if_since, latest_start - AHEAD_S)
    return (as_if_since, asking.since, asking.project, asking.name)


def decide(standing: Standing) -> Outcome:
    def rank(group: str) -> float:
        if group == SERVICES:
            return -math.inf
        tenant = standing.tenant(group)
        had = tenant.rank(standing.whole)
        # Below nothing, and the less it has the lower.
        return -1.0 / (1.0 + had) if is_owed(tenant) else had

    overtaken = min(_overtaken(standing), key=lambda turn: rank(turn.lane.key.group), default=None)
    return with_backfill(standing, rank, claims=True, overtaken=overtaken)


def _overtaken(standing: Standing) -> Iterator[Turn]:
    """Of each project the first, if he has waited for too long while later ones of it run, or none at all."""
    holding: dict[str, list[Place]] = defaultdict(list)
    for held in standing.held.values():
        holding[held.asking.project].append(order(held.asking))
    for project, lanes in standing.line.groups.items():
        able = [lane for lane in lanes.values() if never(standing, lane.key) is None]
        if project == SERVICES or not able:
            continue
        lane = min(able, key=lambda lane: lane.order_at(0))
        is_in_turn = holding[project] and max(holding[project]) < lane.order_at(0)
        if standing.now - lane.at(0).since > PATIENCE_S and not is_in_turn:
            yield Turn(lane, 0)
