"""Put the rows of each split into a random order.

- shuffle: {seed: 7}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.stages.prepare.steps import Marks, Verdict


def mark(rows: pl.DataFrame) -> pl.DataFrame:
    """Nothing but that the row is there."""
    return pl.DataFrame({"row": pl.repeat(True, rows.height, eager=True)})


def decide(marks: Marks, *, seed: int = 0) -> Verdict:
    """The order depends on the seed and the number of rows alone."""
    of_rows = marks.split_of_rows()
    # RandomState and not Generator: its stream is promised never to change.
    random = np.random.RandomState(seed % 2**32)
    return Verdict(
        take={
            split: random.permutation(np.flatnonzero(of_rows == place))
            for place, split in enumerate(marks.splits)
        }
    )
