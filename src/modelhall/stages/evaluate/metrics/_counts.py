"""What is counted of classes, and the shares that metrics make of it.

By numpy and not by scikit-learn, which takes a second to load and a millisecond for each of the hundreds of draws
that an interval is made of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from modelhall.tasks import Predictions


class Counts(NamedTuple):
    """Of each class, by its number: (classes,) arrays."""

    rows: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    occurs: np.ndarray
    """Whether any row belongs to the class or is given it; means are over those."""


def counts(predictions: Predictions, classes: int = 0) -> Counts:
    """Of at least so many classes."""
    truth, predicted = np.asarray(predictions.truth), np.asarray(predictions.predicted)
    classes = max(classes, int(truth.max()) + 1, int(predicted.max()) + 1)
    right, rows, told = (
        np.bincount(part, minlength=classes) for part in (truth[truth == predicted], truth, predicted)
    )
    return Counts(
        rows=rows,
        precision=_share(right, told),
        recall=_share(right, rows),
        f1=_share(2 * right, rows + told),
        occurs=rows + told > 0,
    )


def _share(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """0 of nothing."""
    shares = np.zeros(len(parts))
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
