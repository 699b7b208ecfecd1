"""The mean over classes of F1, the harmonic mean of precision and recall; every class counts alike."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    found = counts(predictions)
    return float(found.f1[found.occurs].mean())
