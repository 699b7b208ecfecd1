"""The mean over the classes there are of the share of their rows that are told; chance is 1 over their number."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    found = counts(predictions)
    return float(found.recall[found.rows > 0].mean())
