"""Share one source out into train, validation and test: at random, by label, by group, or by time.

- split: {train: 0.8, validation: 0.1, test: 0.1, seed: 7, stratify: label}
"""

from __future__ import annotations

import numpy as np
import polars as pl

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.steps import Marks, Verdict, check_columns

_NAMES = ("train", "validation", "test")


def mark(
    rows: pl.DataFrame, *, stratify: str | None = None, group: str | None = None, time: str | None = None
) -> pl.DataFrame:
    """What must not be parted, as a number; and what is shared out by."""
    if sum(option is not None for option in (stratify, group, time)) > 1:
        raise Rejected("give one of stratify, group and time")
    for option, column in {"stratify": stratify, "group": group, "time": time}.items():
        check_columns(rows, [column] if column else [], option)
    if time and rows[time].null_count():
        raise Rejected(f"{rows[time].null_count()} rows have no {time!r}", field="time")
    unit = rows.select(group) if group else rows
    marks = pl.DataFrame({"unit": unit.hash_rows(0), "also": unit.hash_rows(1)})
    if stratify:
        marks = marks.with_columns(by=rows[stratify].cast(pl.String))
    return marks.with_columns(by=rows[time]) if time else marks


def decide(
    marks: Marks,
    *,
    train: float = 0.8,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    stratify: str | None = None,
    time: str | None = None,
) -> Verdict:
    """Give each row to one split; shares add up to 1, and a share of 0 makes no split. Rows keep their order.

    Equal rows come into the same split, so nothing in test was seen in training. With `stratify`, every value of that
    column is shared out alike; with `group`, rows with the same value of that column stay together; with `time`,
    the rows up to a moment are for training and later ones for validation, then test.
    """
    if marks.splits != ["all"]:
        raise Rejected(f"the data is split already: {', '.join(marks.splits)}")
    shares = {"train": train, "validation": validation, "test": test}
    if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > 1e-6:
        said = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise Rejected(f"the shares must add up to 1: {said} make {sum(shares.values()):g}")
    assigned = _by_time(marks.column("by"), shares) if time else _at_random(marks, shares, seed, stratify)
    for place, name in enumerate(_NAMES):
        if shares[name] > 0 and not (assigned == place).any():
            raise Rejected(
                f"{name} is empty: a share of {shares[name]:g} of {len(assigned)} rows", field=name
            )
    return Verdict(split=pl.Series(np.array(_NAMES, dtype=object)[assigned], dtype=pl.Enum(_NAMES)))


def _at_random(marks: Marks, shares: dict[str, float], seed: int, stratify: str | None) -> np.ndarray:
    """The split of each row, by its number. Units are put in a random order and cut at the shares of the rows."""
    units, first, sizes = _units(marks)
    # Drawn unit by unit, so that rows which are added at the end leave nearly all others in the split they were in.
    # RandomState and not Generator: its stream is promised never to change.
    order = np.argsort(np.random.RandomState(seed % 2**32).random_sample(len(first)), kind="stable")
    strata = np.zeros(len(first), np.int64)
    if stratify:
        strata = marks.column("by").rank("dense").fill_null(0).to_numpy()[first]
    of_unit = np.zeros(len(first), np.int8)
    for stratum in np.unique(strata):
        inside = order[strata[order] == stratum]
        of_unit[inside] = _cut(sizes[inside], shares)
    told: np.ndarray = of_unit[units]
    return told


def _units(marks: Marks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal marks get the same number, in order of their first row: that number for each row, and for each number
    its first row and how many rows it has."""
    both = np.stack([marks.column("unit").to_numpy(), marks.column("also").to_numpy()], axis=1)
    pairs = np.ascontiguousarray(both).view([("unit", np.uint64), ("also", np.uint64)]).ravel()
    _, first, units, sizes = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places[units], first[order], sizes[order]


def _by_time(moments: pl.Series, shares: dict[str, float]) -> np.ndarray:
    """The same by time; rows of one moment stay together."""
    ranks = moments.rank("dense").to_numpy().astype(np.int64) - 1
    of_moment = _cut(np.bincount(ranks), shares)
    told: np.ndarray = of_moment[ranks]
    return told


def _cut(sizes: np.ndarray, shares: dict[str, float]) -> np.ndarray:
    """The split of each unit of so many rows: units go to train until it has its share, then to validation."""
    begins = np.cumsum(sizes) - sizes
    total = sizes.sum()
    ends = np.rint(np.array([shares["train"], shares["train"] + shares["validation"]]) * total)
    told: np.ndarray = np.searchsorted(ends, begins, side="right").astype(np.int8)
    return told
