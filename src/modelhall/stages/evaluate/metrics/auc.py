"""The area under the ROC curve: how likely a row of a class is scored above one of another. For more than two classes
the mean over all pairs of them (Hand and Till 2001)."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from modelhall.tasks import Predictions

OF = "classes"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From 0 to 1, 0.5 by chance; NaN, which meets no requirement, unless every class has rows."""
    scores = predictions.scores
    many = scores.shape[1]
    if len(np.unique(np.asarray(predictions.truth))) < many:
        return float("nan")
    if many == 2:
        return float(roc_auc_score(predictions.truth, scores[:, 1]))
    whole = scores.astype(np.float64)
    return float(
        roc_auc_score(
            predictions.truth, whole / whole.sum(1, keepdims=True), multi_class="ovo", labels=np.arange(many)
        )
    )
