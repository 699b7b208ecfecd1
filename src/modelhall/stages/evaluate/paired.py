"""Two versions on the same rows: what differs, and whether that may be chance. Rows that are hard are so for both, so
row by row a difference shows that is lost between two intervals."""

from __future__ import annotations

import numpy as np
from scipy import stats

from modelhall.core.kinds.model import Difference
from modelhall.stages.evaluate.intervals import LEVEL
from modelhall.stages.evaluate.rows import Rows

_DRAWS = 999
_AT_ONCE = 50


def compare(before: Rows, after: Rows) -> dict[str, Difference]:
    """`accuracy` by McNemar's exact test (1947), `loss` by flipping the signs of differences (Fisher's randomization
    test); intervals by the bootstrap over rows. Raises ValueError unless both are about the same rows."""
    if not np.array_equal(before.told, after.told):
        raise ValueError("they were measured on other rows")
    # A row nothing is told of has no loss.
    asked = before.told > 0
    weights = before.told[asked] / before.told[asked].mean()
    found = {}
    if before.right is not None and after.right is not None:
        found["accuracy"] = _accuracy(before.right.astype(float), after.right.astype(float))
    found["loss"] = _loss(before.loss[asked] * weights, after.loss[asked] * weights)
    return found


def _accuracy(before: np.ndarray, after: np.ndarray) -> Difference:
    won, lost = int((after > before).sum()), int((after < before).sum())
    p = float(stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0
    return _difference(before, after, p)


def _loss(before: np.ndarray, after: np.ndarray) -> Difference:
    differences = after - before
    if not differences.any():
        return _difference(before, after, 1.0)
    tested = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=_DRAWS,
        batch=_AT_ONCE, rng=np.random.default_rng(0),
    )  # fmt: skip
    return _difference(before, after, float(tested.pvalue))


def _difference(before: np.ndarray, after: np.ndarray, p: float) -> Difference:
    random, differences = np.random.default_rng(0), after - before
    many = len(differences)
    means = [differences[random.integers(0, many, many)].mean() for _ in range(_DRAWS)]
    low, high = np.percentile(means, (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2))
    return Difference(
        before=float(before.mean()), after=float(after.mean()), interval=(float(low), float(high)), p=p
    )
