"""The curves of one training: what was measured at which step. They are part of the checkpoint, so those of a
training that was killed are those of one that was not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MOST_POINTS = 1000
"""Of one curve; of a longer one every second point is dropped."""


class Curves:
    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}
        """Name → (step, value), in order."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Take in what was measured at `step`."""
        for name, value in values.items():
            if not math.isfinite(value):
                continue
            curve = self.points.setdefault(name, [])
            curve.append((step, value))
            if len(curve) > MOST_POINTS:
                # The newest stays.
                self.points[name] = curve[::-2][::-1]

    def copy(self) -> dict[str, list[tuple[int, float]]]:
        """The points as they are now, for a checkpoint that is written while training goes on."""
        return {name: list(curve) for name, curve in self.points.items()}

    def go_on(self, points: Mapping[str, Any]) -> None:
        """Be as one whose points these were."""
        self.points = {name: [(step, value) for step, value in curve] for name, curve in points.items()}
