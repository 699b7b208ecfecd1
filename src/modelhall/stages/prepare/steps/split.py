"""Split one source at random into train, validation and test.

- split: {train: 0.8, validation: 0.1, test: 0.1, seed: 7, stratify: label}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Done, Splits, check_columns


def apply(
    splits: Splits,
    *,
    train: float = 0.8,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    stratify: str | None = None,
) -> Done:
    """Give each row to one split; shares add up to 1, and a share of 0 makes no split.

    With `stratify`, every value of that column is shared out alike. Rows keep their order.
    """
    if set(splits) != {"all"}:
        raise Rejected(f"the data is split already: {', '.join(splits)}")
    frame = splits["all"]
    check_columns(splits, [stratify] if stratify else [], "stratify")
    shares = {"train": train, "validation": validation, "test": test}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise Rejected(f"the shares must add up to 1: {said} make {sum(shares.values()):g}")
    assigned = _assign(frame, shares, seed, stratify)
    parts = {name: frame.filter(assigned == name) for name, share in shares.items() if share > 0}
    for name, part in parts.items():
        if not part.height:
            raise Rejected(f"{name} is empty: a share of {shares[name]:g} of {frame.height} rows", field=name)
    return Done(splits=parts)


def _assign(frame: pl.DataFrame, shares: dict[str, float], seed: int, stratify: str | None) -> pl.Series:
    """The split of each row. Every group is put in a random order and cut at the shares."""
    # RandomState and not Generator: its stream is promised never to change.
    places = pl.Series("place", np.random.RandomState(seed % 2**32).permutation(frame.height))
    groups = (
        frame[stratify].alias("group") if stratify else pl.repeat(0, frame.height, eager=True).alias("group")
    )
    rank, size = pl.col("place").rank("ordinal").over("group") - 1, pl.len().over("group")
    first = (size * shares["train"]).round()
    second = (size * (shares["train"] + shares["validation"])).round()
    split = pl.when(rank < first).then(pl.lit("train")).when(rank < second).then(pl.lit("validation"))
    return pl.DataFrame([places, groups]).select(split=split.otherwise(pl.lit("test")))["split"]
