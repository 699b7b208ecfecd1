"""Preparation steps: one file each, with one function

    apply(splits: Splits, *, options…) -> Done

Its keyword-only parameters are the step's options; annotate them with plain JSON types, which are checked before
the hall starts anything. A step gets every split by name (`all` alone before the data is split) and returns
them all; it works the same on the same rows anywhere, so randomness comes from a `seed` option. Options that
cannot be met are Rejected with the option's name as `field`.

A step that fits (means, vocabularies) fits on `splits["train"]`, refuses while there is only `all`, and would
return what it fitted as JSON in a further field of `Done`; the stage keeps it in dataset.json under the step, and
a second function `again(frame, fitted)` would do the same to rows of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean

Splits = Mapping[str, pl.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Done:
    """The splits after a step, and the rows it dropped by the reason."""

    splits: Splits
    dropped: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def check_columns(splits: Splits, columns: list[str], option: str = "columns") -> None:
    """Raise Rejected unless every split has all of `columns`."""
    for split, frame in splits.items():
        for column in columns:
            if column not in frame.columns:
                raise Rejected(
                    f"no column {column!r} in {split}; {did_you_mean(column, frame.columns)}", field=option
                )
