"""Whether a training has gone wrong without its loss being anything but a number: it was much better, and has been
far worse for long."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_STRETCHES = 3
"""One after the other that have to be bad."""
_SHORTEST, _SHARE = 20, 0.02
"""Of a stretch: steps, and of all steps."""


class Divergence:
    """Watches the mean loss of stretches of steps, which says more than any one loss."""

    def __init__(self, total: int) -> None:
        """`total` is the number of steps there will be."""
        self._stretch = max(_SHORTEST, round(_SHARE * total))
        self._first: float | None = None
        self._best = math.inf
        self._sum, self._steps, self._bad = 0.0, 0, 0

    def see(self, loss: float) -> str | None:
        """Take in a step; what is wrong, in words, or None."""
        self._sum, self._steps = self._sum + loss, self._steps + 1
        if self._first is None:
            self._first = loss
        if self._steps < self._stretch:
            return None
        mean, self._sum, self._steps = self._sum / self._steps, 0.0, 0
        self._bad = self._bad + 1 if mean > self._far() else 0
        self._best = min(self._best, mean)
        if self._bad < _STRETCHES:
            return None
        return (
            f"the loss has diverged: {mean:.4g} over the last {self._stretch} steps, and {self._best:.4g} "
            "at best"
        )

    def _far(self) -> float:
        """Half of the way back to where it began, and half as much again as the best."""
        assert self._first is not None
        return self._best + max(self._first - self._best, abs(self._best)) / 2

    def facts(self) -> dict[str, Any]:
        """All it has seen, as JSON."""
        return {
            "first": self._first,
            "best": self._best if math.isfinite(self._best) else None,
            "sum": self._sum,
            "steps": self._steps,
            "bad": self._bad,
        }

    def go_on(self, facts: Mapping[str, Any]) -> None:
        """Be as one was that told these."""
        self._first, self._sum = facts["first"], facts["sum"]
        self._best = math.inf if facts["best"] is None else facts["best"]
        self._steps, self._bad = facts["steps"], facts["bad"]
