"""How each row of a split came out, kept beside the metrics so that two versions can be compared row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from modelhall.core import files
from modelhall.tasks import Predictions, Task

FILE = "rows.safetensors"
MOST_ROWS = 20_000
"""Of a longer split as many, evenly chosen: the same ones for every version."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of a split, in order."""

    loss: np.ndarray
    told: np.ndarray
    """How much is told of each row, such as tokens."""
    right: np.ndarray | None = None
    """Whether the class is the true one, as 0 or 1; None where there are no classes."""


def of(task: Task, predictions: Predictions) -> Rows:
    """What is kept of these predictions, whose truth is known."""
    many = len(predictions.predicted)
    chosen = np.unique(np.linspace(0, many - 1, min(many, MOST_ROWS)).round().astype(np.int64))
    part = predictions.take(chosen)
    assert part.losses is not None
    told = np.ones(len(chosen)) if part.told is None else part.told
    right = np.asarray(part.predicted) == np.asarray(part.truth) if task.shape.labels else None
    return Rows(
        loss=part.losses.astype(np.float32),
        told=told.astype(np.int64),
        right=None if right is None else right.astype(np.uint8),
    )


def write(folder: Path, rows: Rows) -> None:
    arrays = {"loss": rows.loss, "told": rows.told, **({} if rows.right is None else {"right": rows.right})}
    files.write_bytes(folder / FILE, save(arrays))


def read(folder: Path) -> Rows:
    """What `write` left."""
    return Rows(**load_file(folder / FILE))
