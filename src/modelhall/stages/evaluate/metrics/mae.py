"""The mean of the absolute errors, in the target's unit."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "numbers"
HIGHER_IS_BETTER = False


def measure(predictions: Predictions) -> float:
    """0 and more."""
    return float(np.mean(np.abs(np.asarray(predictions.predicted) - np.asarray(predictions.truth))))
