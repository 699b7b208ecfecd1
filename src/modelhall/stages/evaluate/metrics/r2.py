"""The share of the target's variance that is told: 1 is all of it, 0 what the mean alone does."""

from __future__ import annotations

from sklearn.metrics import r2_score

from modelhall.tasks import Predictions

OF = "numbers"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """1 at most; NaN, which meets no requirement, with fewer than two rows."""
    return (
        float(r2_score(predictions.truth, predictions.predicted))
        if len(predictions.predicted) > 1
        else float("nan")
    )
