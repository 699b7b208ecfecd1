"""The share of rows whose prediction is the truth."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    return float(np.mean(np.asarray(predictions.truth) == np.asarray(predictions.predicted)))
