"""The places at which rows of an embedding find what belongs to them."""

from __future__ import annotations

import numpy as np

from modelhall.core.errors import Rejected
from modelhall.tasks import Predictions


def places(predictions: Predictions, metric: str) -> np.ndarray:
    """int64 (rows,), 1 first. Raises Rejected for rows that say how near two texts are."""
    found = np.asarray(predictions.predicted)
    if found.dtype.kind != "i":
        raise Rejected(
            f"{metric} is of rows with an anchor and what belongs to it; for scores there is spearman",
            field=f"require.{metric}",
        )
    return found
