"""The root of the mean of the squared errors, in the target's unit."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "numbers"
HIGHER_IS_BETTER = False


def measure(predictions: Predictions) -> float:
    """0 and more."""
    return float(np.sqrt(np.mean((np.asarray(predictions.predicted) - np.asarray(predictions.truth)) ** 2)))
