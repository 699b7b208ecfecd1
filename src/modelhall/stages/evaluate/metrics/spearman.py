"""Whether texts that are nearer by their scores are nearer by their vectors, too: Spearman's correlation of ranks
(1904)."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from modelhall.core.errors import Rejected
from modelhall.tasks import Predictions

OF = "vectors"
HIGHER_IS_BETTER = True


def measure(predictions: Predictions) -> float:
    """From -1 to 1; NaN, which meets no requirement, where one of both is the same in all rows."""
    near, truth = np.asarray(predictions.predicted), np.asarray(predictions.truth)
    if truth.ndim != 1:
        raise Rejected("spearman is of rows with two texts and a score", field="require.spearman")
    if np.ptp(near) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(spearmanr(near, truth).statistic)
