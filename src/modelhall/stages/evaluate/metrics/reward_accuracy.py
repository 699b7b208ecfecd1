"""How often the chosen one of two answers is preferred more than the reference prefers it."""

from __future__ import annotations

from modelhall.core.errors import Rejected
from modelhall.tasks import Predictions

OF = "tokens"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """A share."""
    if predictions.rewards is None:
        raise Rejected(
            "reward_accuracy is of rows with a prompt, a chosen and a rejected answer",
            field="require.reward_accuracy",
        )
    return float((predictions.rewards > 0).mean())
