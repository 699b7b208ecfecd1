"""Down in a line."""

from __future__ import annotations

from modelhall.stages.train.schedules import Moment


def factor(moment: Moment, *, to: float = 0.0) -> float:
    """`to` is the share at the end."""
    return to + (1 - to) * (1 - moment.done)
