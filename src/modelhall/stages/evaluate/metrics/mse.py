"""The mean of the squared errors, in the target's unit squared."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "numbers"
HIGHER_IS_BETTER = False


def measure(predictions: Predictions) -> float:
    """0 and more."""
    return float(np.mean((np.asarray(predictions.predicted) - np.asarray(predictions.truth)) ** 2))
