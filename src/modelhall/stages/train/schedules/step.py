"""Down by a factor every few epochs."""

from __future__ import annotations

from modelhall.core.errors import Rejected
from modelhall.stages.train.schedules import Moment


def factor(moment: Moment, *, epochs: int = 1, gamma: float = 0.5) -> float:
    """Times `gamma` after every `epochs` behind the warm-up."""
    if epochs < 1:
        raise Rejected(f"epochs is 1 or more, not {epochs}", field="train.schedule.epochs")
    return gamma ** (moment.step // (epochs * moment.steps_an_epoch))
