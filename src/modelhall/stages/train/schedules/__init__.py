"""Schedules of the learning rate: one file each. The file's name is what `train.schedule` calls it.

A file has `factor(moment, *, options…)`: the share of `train.learning_rate` at a moment behind the warm-up. It is a
function of what is known there, so that nothing of it has to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.core import plugins
from modelhall.core.kinds.model import Train


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where a training is."""

    step: int
    """Steps since the warm-up."""
    total: int
    """Steps from the warm-up to the end, at least 1."""
    steps_an_epoch: int
    losses: tuple[float, ...] = ()
    """Of the validation after each epoch so far."""

    @property
    def done(self) -> float:
        """From 0 to 1."""
        return self.step / self.total


def rate(
    train: Train, step: int, total: int, *, steps_an_epoch: int, losses: tuple[float, ...] = ()
) -> float:
    """The learning rate at step 0…total-1: up in a line over the warm-up, then as the schedule says."""
    warmup = round(train.warmup * total)
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    moment = Moment(
        step=step - warmup, total=max(1, total - warmup), steps_an_epoch=steps_an_epoch, losses=losses
    )
    factor: float = plugins.load("rate", train.schedule.name).factor(moment, **train.schedule.options)
    return train.learning_rate * factor
