"""Made labels beside true ones, whoever made them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import check_columns

ABSTAINS = -1
"""The place of no label."""


def check_names(rows: pl.DataFrame, made: Iterable[str | None], gold: str | None) -> None:
    """Raise Rejected where a column that is to be made is there, or the one with true labels is not."""
    check_columns(rows, [gold] if gold else [], "gold")
    for name in filter(None, made):
        if name in rows.columns:
            raise Rejected(f"there is a column {name!r}; say another name", field="into")


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
