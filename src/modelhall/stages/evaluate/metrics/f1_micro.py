"""F1 over all rows alike; where each row has one class it is the accuracy."""

from __future__ import annotations

from sklearn.metrics import f1_score

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    return float(f1_score(predictions.truth, predictions.predicted, average="micro", zero_division=0))
