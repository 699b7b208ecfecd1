"""Take some of the rows for training, or of each value of a column as many as of the rarest or the commonest.

- sample: {rows: 6, seed: 7}
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, Verdict, check_columns


def mark(rows: pl.DataFrame, *, balance: str | None = None) -> pl.DataFrame:
    """The value that is to be balanced."""
    check_columns(rows, [balance] if balance else [], "balance")
    return pl.DataFrame(
        {"by": rows[balance].cast(pl.String) if balance else pl.repeat("", rows.height, eager=True)}
    )


def decide(
    marks: Marks,
    *,
    rows: int | None = None,
    share: float | None = None,
    balance: str | None = None,
    to: Literal["rarest", "commonest"] = "rarest",
    seed: int = 0,
) -> Verdict:
    """Take `rows` rows or a `share` of them at random, without taking one twice; they keep their order.

    With `balance`, every value of that column comes as often as the rarest, or, by repeating rows, as the commonest.
    Validation and test stay as they are: what is measured on them should be what there is.
    """
    if sum(option is not None for option in (rows, share, balance)) != 1:
        raise Rejected("give one of rows, share and balance")
    of_rows, splits = marks.split_of_rows(), marks.splits
    taken = {split: np.flatnonzero(of_rows == place) for place, split in enumerate(splits)}
    drawn = "train" if "train" in splits else splits[0]
    there = taken[drawn]
    random = np.random.RandomState(seed % 2**32)
    if balance is not None:
        values = marks.column("by").rank("dense").fill_null(0).to_numpy()[there]
        taken[drawn] = np.sort(there[_balanced(values, to, random)], kind="stable")
        return Verdict(take=taken)
    wanted = rows if rows is not None else round((share or 0) * len(there))
    if not 0 < wanted <= len(there):
        field = "rows" if rows is not None else "share"
        raise Rejected(f"{drawn} has {len(there)} rows, of which {wanted} cannot be taken", field=field)
    taken[drawn] = np.sort(random.permutation(there)[:wanted])
    return Verdict(take=taken)


def _balanced(values: np.ndarray, to: str, random: np.random.RandomState) -> np.ndarray:
    """Places of rows, so that each value comes equally often."""
    found, counts = np.unique(values, return_counts=True)
    wanted = int(counts.min() if to == "rarest" else counts.max())
    chosen = []
    for value in found:
        places = random.permutation(np.flatnonzero(values == value))
        chosen.append(np.resize(places, wanted))
    return np.concatenate(chosen)
