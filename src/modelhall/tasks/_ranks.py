"""At which place each of many finds its own among those of all, by the nearness of vectors."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1024
"""Rows whose nearness to all others is in memory."""
_TEMPERATURE = 0.05
"""By which nearness becomes probability in the loss that is told."""


def of(vectors: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of `vectors`, (rows, 2, size), the places, int64 (rows,), 1 first, and minus the logarithm of how likely its
    own is to be drawn, float32 (rows,).

    `numbers`, (rows, 2 and more), are the same where the texts are the same: what belongs to another row with the
    same anchor, or is the same itself, is not held against a row.
    """
    parts = [
        _some(vectors, numbers, np.arange(start, min(start + _AT_ONCE, len(vectors))))
        for start in range(0, len(vectors), _AT_ONCE)
    ]
    places, losses = (np.concatenate(part) for part in zip(*parts, strict=True))
    return places, losses


def _some(vectors: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    near = vectors[rows, 0] @ vectors[:, 1].T
    own = near[np.arange(len(rows)), rows]
    belongs = (numbers[rows, 0][:, None] == numbers[:, 0]) | (numbers[rows, 1][:, None] == numbers[:, 1])
    near[belongs] = -np.inf
    chances = np.exp((near - own[:, None]) / _TEMPERATURE)
    return 1 + (near > own[:, None]).sum(1), np.log1p(chances.sum(1)).astype(np.float32)
