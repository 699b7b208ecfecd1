"""The share of tokens that are told: of those that follow, or of those that were masked."""

from __future__ import annotations

from modelhall.tasks import Predictions

OF = "tokens"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1."""
    pairs = [
        told == wanted
        for row, truth in zip(predictions.predicted, predictions.truth or (), strict=True)
        for told, wanted in zip(row, truth, strict=True)
    ]
    return float(sum(pairs) / len(pairs))
