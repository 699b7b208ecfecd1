"""The share of the target's variance that is told: 1 is all of it, 0 what the mean alone does."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "numbers"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """1 at most; NaN, which meets no requirement, with fewer than two rows. Where the target does not vary it is 1 if
    all of it is told, and else 0."""
    if len(predictions.predicted) < 2:
        return float("nan")
    truth, predicted = np.asarray(predictions.truth, float), np.asarray(predictions.predicted, float)
    missed, there = np.sum((truth - predicted) ** 2), np.sum((truth - truth.mean()) ** 2)
    if not there:
        return float(not missed)
    return float(1 - missed / there)
