"""The share of rows answered with the very text that is wanted, but for blanks before and behind it."""

from __future__ import annotations

import numpy as np

from modelhall.tasks import Predictions

OF = "texts"
HIGHER_IS_BETTER = True
NEEDS = ()


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    return float(np.mean([one.told == one.wanted for one in predictions.answered or ()]))
