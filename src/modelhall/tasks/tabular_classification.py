"""Tabular classification: which of the classes a row of a table belongs to, by all its other columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field

from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import Batch, Examples, Tensor, _features, read_fitted, write_fitted
from modelhall.tasks._classes import MAX_LABELS, Classes, labels_of
from modelhall.tasks._features import Feature

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"label": "label"}
LOSSES = ("cross-entropy", "binary-cross-entropy")
PREDICTS = ("classes",)
COMPRESSES = True
TAKES_BASE = False


def fit(
    splits: Mapping[str, pl.DataFrame], columns: Mapping[str, str], *, length: int | None
) -> TabularClassification:
    """Learn labels and what the other columns hold from the training split."""
    train = splits["train"]
    labels = labels_of(train[columns["label"]])
    fitted = _Fitted(
        label=columns["label"], labels=tuple(labels), features=_features.fit(train, columns["label"])
    )
    task = TabularClassification(fitted)
    task.check(splits, columns["label"])
    return task


def load(folder: Path) -> TabularClassification:
    """What `save` wrote."""
    return TabularClassification(read_fitted(folder, _Fitted))


class _Fitted(Frozen):
    """task.json."""

    label: str
    labels: tuple[str, ...] = Field(min_length=2, max_length=MAX_LABELS)
    features: tuple[Feature, ...] = Field(min_length=1)


class TabularClassification(Classes):
    """Fitted. An example's input is its features, float32 (width,)."""

    def __init__(self, fitted: _Fitted) -> None:
        super().__init__(fitted.labels)
        self._fitted = fitted
        self.columns = {one.name: one.name for one in fitted.features}
        self.inputs = _features.inputs_of(fitted.features)
        width = sum(one.width for one in fitted.features)
        self.shape = Shape(head="tabular-classification", sizes={"features": width}, labels=self.labels)

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        rows = _features.of_frame(self._fitted.features, split, frame)
        return Examples(inputs=rows, truth=self.truth(split, frame[self._fitted.label]))

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """One value a row for each column."""
        return Examples(inputs=_features.of_request(self._fitted.features, inputs))

    def sample(self) -> dict[str, Tensor]:
        return _features.sample_of(self._fitted.features)

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        return _features.batch_of(examples, rows, truth=torch.int64)

    def save(self, folder: Path) -> None:
        write_fitted(folder, self._fitted.model_dump(mode="json"))
