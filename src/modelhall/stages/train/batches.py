"""In which order rows are learnt from: a function of the seed and the epoch, so that it need not be stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_POOL = 50
"""Batches whose rows are sorted by length together: enough for little padding, few enough to stay random."""


def batches(
    rows: int, batch: int, *, seed: int, epoch: int, lengths: Sequence[int] | None
) -> list[np.ndarray]:
    """Every row once, at random, in ceil(rows / batch) batches of nearly the same size.

    With `lengths`, rows of like length come together, and batches in random order.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(rows)
    if lengths is not None:
        sizes = np.asarray(lengths)
        pools = np.array_split(order, -(-rows // (batch * _POOL)))
        order = np.concatenate([pool[np.argsort(sizes[pool], kind="stable")] for pool in pools])
    cut = np.array_split(order, -(-rows // batch))
    if lengths is None:
        return cut
    return [cut[place] for place in random.permutation(len(cut))]
