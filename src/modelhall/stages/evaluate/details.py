"""What measuring finds that names labels, or the size of what was told: figures of each class, what is taken for
what, whether confidence can be believed. It goes into an artifact, which is sealed and shown to those who may see the
data; the metrics that everybody sees who sees the model stand in the stage's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelhall.core.orders import EvaluateOrder
from modelhall.stages.evaluate.metrics._counts import counts
from modelhall.tasks import Predictions, Task

FILE = "evaluation.json"
MOST_CLASSES = 1000
"""Whose figures are kept: those with the most rows."""
MOST_IN_MATRIX = 50
_BINS = 10
_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def tell(what: EvaluateOrder, task: Task, predictions: Predictions) -> dict[str, Any]:
    """All of it, as JSON."""
    told: dict[str, Any] = {"data": what.data, "split": what.split, "rows": len(predictions.predicted)}
    if task.shape.labels:
        return told | _by_class(task.shape.labels, predictions)
    if isinstance(predictions.predicted[0], float):
        return told | _by_size(predictions)
    return told


def _by_class(labels: Sequence[str], predictions: Predictions) -> dict[str, Any]:
    truth, predicted = np.asarray(predictions.truth), np.asarray(predictions.predicted)
    count = len(labels)
    counted = counts(predictions, count)
    classes = [
        {
            "label": labels[at],
            "rows": int(counted.rows[at]),
            "precision": float(counted.precision[at]),
            "recall": float(counted.recall[at]),
            "f1": float(counted.f1[at]),
        }
        for at in np.sort(np.argsort(-counted.rows, kind="stable")[:MOST_CLASSES])
    ]
    found = {"classes": classes, "calibration": _calibration(truth == predicted, predictions.scores.max(-1))}
    if count <= MOST_IN_MATRIX:
        pairs = np.bincount(truth * count + predicted, minlength=count * count)
        found["confusion"] = {"labels": list(labels), "counts": pairs.reshape(count, count).tolist()}
    return found


def _calibration(right: np.ndarray, confidence: np.ndarray) -> dict[str, Any]:
    """How often the answer is right, by how likely the model says it is; and the mean distance of the two (expected
    calibration error, Naeini et al. 2015)."""
    places = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    bins, error = [], 0.0
    for place in range(_BINS):
        inside = places == place
        if inside.any():
            said, was = float(confidence[inside].mean()), float(right[inside].mean())
            bins.append({"rows": int(inside.sum()), "confidence": said, "accuracy": was})
            error += abs(said - was) * inside.mean()
    return {"bins": bins, "error": float(error)}


def _by_size(predictions: Predictions) -> dict[str, Any]:
    """Of numbers: how far off they are, and the mean truth where predictions are small, and where they are large."""
    predicted, truth = np.asarray(predictions.predicted, float), np.asarray(predictions.truth, float)
    parts = [part for part in np.array_split(np.argsort(predicted, kind="stable"), _BINS) if len(part)]
    errors = np.percentile(predicted - truth, _PERCENTILES)
    return {
        "sizes": [
            {
                "rows": len(part),
                "predicted": float(predicted[part].mean()),
                "truth": float(truth[part].mean()),
            }
            for part in parts
        ],
        "errors": [
            {"percentile": at, "error": float(error)} for at, error in zip(_PERCENTILES, errors, strict=True)
        ],
    }
