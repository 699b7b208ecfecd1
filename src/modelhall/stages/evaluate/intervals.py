"""Confidence intervals by the bootstrap (Efron 1979): how a metric varies when rows are drawn again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from modelhall.tasks import Predictions

Measures = Mapping[str, Callable[[Predictions], float]]

LEVEL = 0.95
_MOST_DRAWS, _LEAST_DRAWS = 400, 50
_MOST_ROWS = 1_000_000
"""Drawn in all, unless the fewest draws take more."""


def intervals(
    predictions: Predictions, measures: Measures, *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """For each metric the interval between the percentiles that leave half of 5 % on either side. A metric that some
    draw has none of, such as one without a class, is left out."""
    rows = len(predictions.predicted)
    draws = int(np.clip(_MOST_ROWS // max(1, rows), _LEAST_DRAWS, _MOST_DRAWS))
    random = np.random.default_rng(seed)
    drawn = [predictions.take(random.integers(0, rows, rows)) for _ in range(draws)]
    tails = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    found = {}
    for name, measure in measures.items():
        values = [measure(draw) for draw in drawn]
        if np.isfinite(values).all():
            low, high = np.percentile(values, tails)
            found[name] = (float(low), float(high))
    return found
