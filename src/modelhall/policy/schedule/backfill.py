"""`backfill`: as `first-fit`, but who is over before the first can begin, or is not in his way, overtakes him."""

from __future__ import annotations

from modelhall.policy.schedule import first_fit
from modelhall.policy.standing import Standing
from modelhall.policy.standing.round import Outcome, with_backfill

BY_PROJECT = False
order = first_fit.order


def decide(standing: Standing) -> Outcome:
    return with_backfill(standing, lambda group: 0.0)
