"""How often what belongs to a row comes first among what belongs to all rows of the split."""

from __future__ import annotations

from modelhall.stages.evaluate.metrics._places import places
from modelhall.tasks import Predictions

OF = "vectors"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """A share."""
    return float((places(predictions, "recall_at_1") <= 1).mean())
