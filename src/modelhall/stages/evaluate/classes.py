"""How well each class is told, and what it is taken for."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from modelhall.core.kinds.model import ClassFigures
from modelhall.tasks import Predictions


def classes(predictions: Predictions, labels: Sequence[str]) -> dict[str, ClassFigures]:
    """The figures of each label; a class that is never predicted has the precision 0."""
    numbers = list(range(len(labels)))
    precision, recall, f1, rows = precision_recall_fscore_support(
        predictions.truth, predictions.predicted, labels=numbers, zero_division=0
    )
    taken = confusion_matrix(predictions.truth, predictions.predicted, labels=numbers)
    return {
        label: ClassFigures(
            precision=float(precision[number]),
            recall=float(recall[number]),
            f1=float(f1[number]),
            rows=int(rows[number]),
            taken_for={
                labels[other]: int(count) for other, count in enumerate(taken[number].tolist()) if count
            },
        )
        for number, label in enumerate(labels)
    }
