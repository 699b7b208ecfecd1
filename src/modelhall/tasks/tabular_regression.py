"""Tabular regression: a number, such as a price, by all other columns of its row.

The target is moved and scaled to mean 0 and spread 1 while a network learns it; predictions, truth and metrics are in
its own unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.shape import Shape
from modelhall.tasks import (
    Batch,
    Criterion,
    Examples,
    Network,
    Predictions,
    Tensor,
    _features,
    outputs_of,
    read_fitted,
    write_fitted,
)
from modelhall.tasks._features import Feature

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {"target": "target"}
LOSSES = ("mse", "mae", "huber")
PREDICTS = ("numbers",)
COMPRESSES = True
TAKES_BASE = False


def fit(
    splits: Mapping[str, pl.DataFrame], columns: Mapping[str, str], *, length: int | None
) -> TabularRegression:
    """Learn the target's mean and spread and what the other columns hold from the training split."""
    train, target = splits["train"], columns["target"]
    for split, frame in splits.items():
        _check_target(split, frame[target])
    values = train[target].cast(float).to_numpy()
    if not values.std():
        raise Rejected(
            f"{target} is {values[0]:g} in every row of train: nothing to learn", field="columns.target"
        )
    return TabularRegression(
        _Fitted(
            target=target,
            mean=float(values.mean()),
            spread=float(values.std()),
            features=_features.fit(train, target),
        )
    )


def load(folder: Path) -> TabularRegression:
    """What `save` wrote."""
    return TabularRegression(read_fitted(folder, _Fitted))


class _Fitted(Frozen):
    """task.json."""

    target: str
    mean: float
    spread: float = Field(gt=0)
    features: tuple[Feature, ...] = Field(min_length=1)


class TabularRegression:
    """Fitted. An example's input is its features, float32 (width,); its truth the target in its own unit."""

    metrics = ("rmse", "mae", "r2")

    def __init__(self, fitted: _Fitted) -> None:
        self._fitted = fitted
        self.columns = {one.name: one.name for one in fitted.features}
        self.inputs = _features.inputs_of(fitted.features)
        self.outputs = (Tensor(name=fitted.target, datatype="FP64", shape=(-1,)),)
        width = sum(one.width for one in fitted.features)
        self.shape = Shape(head="tabular-regression", sizes={"features": width})

    def examples(self, split: str, frame: pl.DataFrame) -> Examples:
        column = frame[self._fitted.target]
        _check_target(split, column)
        rows = _features.of_frame(self._fitted.features, split, frame)
        return Examples(inputs=rows, truth=column.cast(float).to_list())

    def read(self, inputs: Mapping[str, Tensor]) -> Examples:
        """One value a row for each column."""
        return Examples(inputs=_features.of_request(self._fitted.features, inputs))

    def sample(self) -> dict[str, Tensor]:
        return _features.sample_of(self._fitted.features)

    def batch(self, examples: Examples, rows: Sequence[int]) -> Batch:
        """`features`, float32 (rows, width), and `labels`, the target in spreads from its mean."""
        batch = _features.batch_of(examples, rows, truth=torch.float64)
        if "labels" in batch:
            batch["labels"] = ((batch["labels"] - self._fitted.mean) / self._fitted.spread).float()
        return batch

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        return criterion(outputs_of(network, batch).squeeze(-1), batch["labels"])

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """The target in its own unit; the loss is the squared error in spreads."""
        told = outputs_of(network, batch).squeeze(-1).float()
        wanted = batch.get("labels")
        values = told.double().numpy() * self._fitted.spread + self._fitted.mean
        return Predictions(
            predicted=values.tolist(),
            scores=values.astype(np.float32)[:, None],
            losses=None if wanted is None else functional.mse_loss(told, wanted, reduction="none").numpy(),
        )

    def answer(self, predictions: Predictions) -> list[Tensor]:
        rows = len(predictions.predicted)
        (out,) = self.outputs
        return [Tensor(name=out.name, datatype=out.datatype, shape=(rows,), data=list(predictions.predicted))]

    def save(self, folder: Path) -> None:
        write_fitted(folder, self._fitted.model_dump(mode="json"))


def _check_target(split: str, column: pl.Series) -> None:
    if not column.dtype.is_numeric():
        raise Rejected(f"{column.name} holds {column.dtype}, not numbers", field="columns.target")
    _features.check_gaps(column, split, "columns.target")
