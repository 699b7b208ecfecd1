"""Down by a factor whenever the validation has not become better for a while."""

from __future__ import annotations

import math

from modelhall.stages.train.schedules import Moment


def factor(moment: Moment, *, epochs: int = 2, gamma: float = 0.1, least: float = 0.0) -> float:
    """Times `gamma` after `epochs` in a row whose validation loss was no new low, but no less than `least`."""
    factor, best, waited = 1.0, math.inf, 0
    for loss in moment.losses:
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited == epochs:
            factor, waited = factor * gamma, 0
    return max(factor, least)
