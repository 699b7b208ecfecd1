"""Down along half a cosine (Loshchilov and Hutter 2017)."""

from __future__ import annotations

import math

from modelhall.stages.train.schedules import Moment


def factor(moment: Moment, *, to: float = 0.0) -> float:
    """`to` is the share at the end."""
    return to + (1 - to) * (1 + math.cos(math.pi * moment.done)) / 2
