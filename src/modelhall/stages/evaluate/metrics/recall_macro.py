"""The mean over classes of recall: the share of a class's rows that are given it."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    found = counts(predictions)
    return float(found.recall[found.occurs].mean())
