"""`conservative`: as `backfill`, but all who wait have a place kept free, as far as there are nodes for it: who
overtakes is in the way of none of them (Mu'alem and Feitelson, TPDS 2001)."""

from __future__ import annotations

from modelhall.policy.schedule import first_fit
from modelhall.policy.standing import Standing
from modelhall.policy.standing.round import Outcome, with_backfill

BY_PROJECT = False
order = first_fit.order


def decide(standing: Standing) -> Outcome:
    return with_backfill(standing, lambda group: 0.0, most_kept=len(standing.floor.nodes))
