"""How a run is getting on: whether it still makes progress, and whether it still learns."""

from __future__ import annotations

import math

from modelhall.core.kinds.run import RunStatus
from modelhall.core.ports.sensor import Figure

LOSS = "loss"
SOURCE = "report of the run"
MOST_RATIO = 1e9


class Course:
    """One attempt of a run, as its reports tell it."""

    def __init__(self) -> None:
        self._attempt = 0
        self._done: float | None = None
        self._moved_at = 0.0
        self._least_loss = math.inf

    def figures(self, status: RunStatus, at: float) -> list[Figure]:
        """For how long nothing new was told of its progress, and its loss over the least so far, as far as it tells
        them. `at` is by a clock that never jumps."""
        if status.attempt != self._attempt:
            self._attempt, self._done, self._least_loss = status.attempt, None, math.inf
        found = {}
        if status.progress is not None:
            if status.progress.done != self._done:
                self._done, self._moved_at = status.progress.done, at
            found["stalled_s"] = at - self._moved_at
        if LOSS in status.metrics:
            found["loss_ratio"] = self._ratio(status.metrics[LOSS])
        return [Figure(name=name, value=value, source=SOURCE) for name, value in found.items()]

    def _ratio(self, loss: float) -> float:
        self._least_loss = min(self._least_loss, loss)
        # Below nothing, such as of a likelihood, there is no ratio that would say anything.
        return min(MOST_RATIO, loss / self._least_loss) if self._least_loss > 0 else 1.0
