"""What tasks over tables share: columns of numbers and of words become one row of numbers.

Numbers are moved and scaled to mean 0 and spread 1 over the training split, words become one column for each that
training saw. A word it never saw is none of them: all its columns are 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.tasks import Batch, Examples, Tensor

if TYPE_CHECKING:
    import polars as pl

MOST_WORDS = 1000
"""A column of words that has more of them is no category."""


class Numbers(Frozen):
    """A column of numbers."""

    sort: Literal["numbers"] = "numbers"
    name: str
    mean: float
    spread: float = Field(gt=0)

    @property
    def width(self) -> int:
        return 1

    @property
    def datatype(self) -> str:
        return "FP64"


class Words(Frozen):
    """A column of categories."""

    sort: Literal["words"] = "words"
    name: str
    words: tuple[str, ...] = Field(min_length=1, max_length=MOST_WORDS)

    @property
    def width(self) -> int:
        return len(self.words)

    @property
    def datatype(self) -> str:
        return "BYTES"


Feature = Annotated[Numbers | Words, Field(discriminator="sort")]


def fit(train: pl.DataFrame, target: str) -> tuple[Numbers | Words, ...]:
    """A feature for every column but the target. Raises Rejected for a column that is neither numbers nor words, or
    has gaps."""
    found = tuple(_fit(train[name]) for name in train.columns if name != target)
    if not found:
        raise Rejected(f"there is no column but {target!r}: nothing to tell it from", field="data")
    return found


def inputs_of(features: Sequence[Numbers | Words]) -> tuple[Tensor, ...]:
    """What a request holds: one value a row for each column."""
    return tuple(Tensor(name=one.name, datatype=one.datatype, shape=(-1,)) for one in features)


def sample_of(features: Sequence[Numbers | Words]) -> dict[str, Tensor]:
    """A request of one row, of the commonest values."""
    return {
        one.name: Tensor(
            name=one.name, datatype=one.datatype, shape=(1,),
            data=[one.mean if isinstance(one, Numbers) else one.words[0]],
        )
        for one in features
    }  # fmt: skip


def of_frame(features: Sequence[Numbers | Words], split: str, frame: pl.DataFrame) -> list[np.ndarray]:
    """A row of float32 (width,) for each of the frame's. Raises Rejected for gaps and for columns that are not as
    they were in training."""
    parts = []
    for one in features:
        column = frame[one.name]
        _check_column(column, split, numbers=isinstance(one, Numbers))
        parts.append(_columns(one, column.to_list()))
    return list(np.concatenate(parts, axis=1))


def of_request(features: Sequence[Numbers | Words], inputs: Mapping[str, Tensor]) -> list[np.ndarray]:
    """The same for a request. Raises Rejected for values that are not numbers, or not words."""
    return list(np.concatenate([_columns(one, _asked(one, inputs[one.name])) for one in features], axis=1))


def batch_of(examples: Examples, rows: Sequence[int], *, truth: torch.dtype) -> Batch:
    """`features`, float32 (rows, width), and `labels`."""
    batch = {"features": torch.from_numpy(np.stack([examples.inputs[row] for row in rows]))}
    if examples.truth is not None:
        batch["labels"] = torch.tensor([examples.truth[row] for row in rows], dtype=truth)
    return batch


def check_gaps(column: pl.Series, split: str, field: str) -> None:
    """Raise Rejected for a row that has nothing here, or NaN or infinity."""
    gaps = column.null_count()
    if column.dtype.is_float():
        gaps += int((~column.drop_nulls().is_finite()).sum())
    if gaps:
        what = "no number (none, NaN or infinite)" if column.dtype.is_numeric() else "nothing"
        raise Rejected(
            f"{column.name} of {split} has {what} in {gaps} rows; the step `missing` fills or drops them, such as "
            f"`missing: {{columns: [{column.name}], fill: mode}}`",
            field=field,
        )


def _fit(column: pl.Series) -> Numbers | Words:
    _check_column(column, "train")
    if column.dtype.is_numeric() or str(column.dtype) == "Boolean":
        values = column.cast(float).to_numpy()
        spread = float(values.std())
        return Numbers(name=column.name, mean=float(values.mean()), spread=spread if spread > 0 else 1.0)
    counts = column.value_counts(sort=True)
    if len(counts) > MOST_WORDS:
        raise Rejected(
            f"{column.name} has {len(counts)} different words, more than {MOST_WORDS}; `encode: {{how: hashing}}` or "
            "`select` make it numbers or leave it out",
            field="data",
        )
    words = sorted(counts.iter_rows(), key=lambda pair: (-pair[1], pair[0]))
    return Words(name=column.name, words=tuple(word for word, _ in words))


def _check_column(column: pl.Series, split: str, *, numbers: bool | None = None) -> None:
    is_numbers = column.dtype.is_numeric() or str(column.dtype) == "Boolean"
    if not is_numbers and str(column.dtype) != "String":
        raise Rejected(
            f"{column.name} holds {column.dtype}, neither numbers nor words; `select` leaves it out",
            field="data",
        )
    if numbers is not None and numbers != is_numbers:
        wanted = "numbers" if numbers else "words"
        raise Rejected(
            f"{column.name} of {split} holds {column.dtype}, and training had {wanted}", field="data"
        )
    check_gaps(column, split, "data")


def _asked(one: Numbers | Words, given: Tensor) -> list[Any]:
    field = f"inputs.{one.name}"
    for row, value in enumerate(given.data):
        if isinstance(one, Words):
            if not isinstance(value, str):
                raise Rejected(f"{one.name} of row {row} is not a word", field=field)
        elif not isinstance(value, int | float) or not math.isfinite(value):
            raise Rejected(f"{one.name} of row {row} is not a number", field=field)
    return list(given.data)


def _columns(one: Numbers | Words, values: Sequence[Any]) -> np.ndarray:
    """float32 (rows, width)."""
    if isinstance(one, Numbers):
        return ((np.asarray(values, dtype=np.float64) - one.mean) / one.spread).astype(np.float32)[:, None]
    places = {word: place for place, word in enumerate(one.words)}
    made = np.zeros((len(values), one.width), dtype=np.float32)
    for row, word in enumerate(values):
        if word in places:
            made[row, places[word]] = 1
    return made
