"""The mean over classes of precision: the share of rows given a class that belong to it."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    found = counts(predictions)
    return float(found.precision[found.occurs].mean())
