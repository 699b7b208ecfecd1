"""The mean of -log of the probability given to the truth."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = False


def measure(predictions: Predictions) -> float:
    """0 and more; a probability below 1e-15 counts as that."""
    rows = np.arange(len(predictions.scores))
    told = predictions.scores[rows, np.asarray(predictions.truth)].astype(np.float64)
    return float(-np.log(np.clip(told, 1e-15, None)).mean())
