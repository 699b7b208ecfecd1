"""One cycle: up from a small rate, then down to a much smaller one, both along half a cosine (Smith and Topin 2018).
It warms up by itself, so `warmup: 0` goes with it."""

from __future__ import annotations

import math

from modelhall.stages.train.schedules import Moment


def factor(moment: Moment, *, rise: float = 0.3, start: float = 0.04, to: float = 4e-6) -> float:
    """`rise` is the share of the steps that go up; `start` and `to` are the shares at both ends."""
    if moment.done < rise:
        return _between(start, 1.0, moment.done / rise)
    return _between(1.0, to, (moment.done - rise) / (1 - rise))


def _between(first: float, last: float, done: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
