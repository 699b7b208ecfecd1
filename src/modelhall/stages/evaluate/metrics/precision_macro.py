"""The mean over classes of precision: the share of rows given a class that belong to it."""

from __future__ import annotations

from sklearn.metrics import precision_score

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    return float(precision_score(predictions.truth, predictions.predicted, average="macro", zero_division=0))
