"""The mean of one over the place at which each row finds what belongs to it, among what belongs to all rows of the
split."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._places import places
from modelhall.tasks import Predictions

OF = "vectors"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    return float((1 / places(predictions, "mean_reciprocal_rank")).mean())
