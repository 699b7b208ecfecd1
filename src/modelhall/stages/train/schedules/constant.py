"""The same rate to the end."""

from __future__ import annotations

from modelhall.stages.train.schedules import Moment


def factor(moment: Moment) -> float:
    return 1.0
