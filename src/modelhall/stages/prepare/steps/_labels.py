"""Made labels beside true ones, whoever made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

ABSTAINS = -1
"""The place of no label."""


def places(gold: pl.Series, labels: list[Any]) -> np.ndarray:
    """The true label of each row as a place in `labels`; ABSTAINS where it is not known or is none of them."""
    written = gold.cast(pl.String).str.to_lowercase() if gold.dtype == pl.Boolean else gold.cast(pl.String)
    known = {
        str(label).lower() if gold.dtype == pl.Boolean else str(label): n for n, label in enumerate(labels)
    }
    return (
        written.replace_strict(known, default=ABSTAINS, return_dtype=pl.Int64).fill_null(ABSTAINS).to_numpy()
    )


def agreement(label: np.ndarray, gold: np.ndarray | None) -> dict[str, int]:
    """How many rows have a label and, where the true one is known, have that."""
    found = {"rows": len(label), "labelled": int((label != ABSTAINS).sum())}
    if gold is not None:
        both = (label != ABSTAINS) & (gold != ABSTAINS)
        found |= {"gold": int(both.sum()), "gold_right": int((both & (label == gold)).sum())}
    return found
