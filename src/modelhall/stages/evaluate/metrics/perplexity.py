"""How many tokens the next one is as good as drawn from: e to the mean loss of a token."""

from __future__ import annotations

import math

from modelhall.tasks import Predictions

OF = "tokens"
HIGHER_IS_BETTER = False


def measure(predictions: Predictions) -> float:
    """1 and more."""
    assert predictions.loss is not None
    return math.exp(predictions.loss) if predictions.loss < 700 else math.inf
