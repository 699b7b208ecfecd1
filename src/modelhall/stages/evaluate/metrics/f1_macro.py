"""The mean over classes of F1, the harmonic mean of precision and recall; every class counts alike."""

from __future__ import annotations

from sklearn.metrics import f1_score

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1; a class that is never predicted counts 0."""
    return float(f1_score(predictions.truth, predictions.predicted, average="macro", zero_division=0))
