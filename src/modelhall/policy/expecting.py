"""How long a run will take, as far as those like it tell: of one project, and asking for the same."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque

from modelhall.policy.room import Shape, shape_of
from modelhall.policy.schedule import Asking

KEPT = 31
"""So many of the last ones are remembered of each sort."""
FEWEST = 5
"""Less than so many tell nothing."""


class Durations:
    """What runs took, by sort."""

    def __init__(self) -> None:
        self._took: dict[tuple[str, Shape], deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))

    def took(self, asking: Asking, seconds: float) -> None:
        self._took[_sort(asking)].append(seconds)

    def expected_s(self, asking: Asking) -> float | None:
        """The median of what those like it took; None while too few are known."""
        took = self._took.get(_sort(asking), ())
        return statistics.median(took) if len(took) >= FEWEST else None


def _sort(asking: Asking) -> tuple[str, Shape]:
    return asking.project, shape_of(asking)
