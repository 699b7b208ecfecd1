"""Losses: one file each. The file's name is what `train.loss` calls it.

A file has `make(labels, truth, *, options…)`, which returns a criterion. `labels` are what the outputs stand for,
none where numbers are told; `truth` is that of the training rows, for what a loss has to know of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelhall.core import plugins
from modelhall.core.kinds.choice import Choice
from modelhall.tasks import Criterion


def make(loss: Choice, labels: Sequence[str], truth: Sequence[Any]) -> Criterion:
    """The criterion that is asked for; raises Rejected for options out of their range."""
    criterion: Criterion = plugins.load("loss", loss.name).make(labels, truth, **loss.options)
    return criterion
