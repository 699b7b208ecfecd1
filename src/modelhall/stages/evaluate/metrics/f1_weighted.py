"""The mean over classes of F1, each class by its rows."""

from __future__ import annotations

import numpy as np

from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    found = counts(predictions)
    return float(np.average(found.f1, weights=found.rows))
