"""The validation split: how good a network is by the task's first metric, between epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import nn

from modelhall.core import plugins
from modelhall.core.orders import Validated
from modelhall.tasks import Examples, Task, predict

_BATCH = 256
_MOST_TOLD = 1000


class Validation:
    """Of one training."""

    def __init__(self, task: Task, examples: Examples) -> None:
        self._task = task
        self._examples = examples
        self.metric = task.metrics[0]
        self._measure = plugins.load("metric", self.metric)

    def measure(self, network: nn.Module) -> tuple[float, float]:
        """The metric and the loss."""
        predictions = predict(self._task, network.eval(), self._examples, batch=_BATCH)
        return self._measure.measure(predictions), predictions.loss or 0.0

    def score(self, value: float) -> float:
        """A value of the metric, turned so that higher is better."""
        return value if self._measure.HIGHER_IS_BETTER else -value

    def told(self, scores: Sequence[float]) -> Validated:
        """The first validations, by their scores."""
        known = np.nan_to_num(scores[:_MOST_TOLD], nan=np.finfo(float).min)
        values = tuple(self.score(score) for score in known.tolist())
        return Validated(metric=self.metric, higher_is_better=self._measure.HIGHER_IS_BETTER, values=values)
