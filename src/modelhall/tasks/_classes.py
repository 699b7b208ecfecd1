"""What tasks that tell classes apart share: their labels, loss, predictions and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.tasks import Batch, Criterion, Network, Predictions, Tensor, outputs_of

if TYPE_CHECKING:
    import polars as pl

METRICS = ("accuracy", "f1_macro")
MAX_LABELS = 1_000_000


class Classes:
    """Labels in the order of the network's outputs, and all that follows from them."""

    metrics = METRICS

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        many = len(self.labels)
        self.outputs = (
            Tensor(name="label", datatype="BYTES", shape=(-1,)),
            Tensor(name="score", datatype="FP32", shape=(-1,)),
            Tensor(
                name="scores", datatype="FP32", shape=(-1, many), parameters={"labels": list(self.labels)}
            ),
        )

    def check(self, splits: Mapping[str, pl.DataFrame], column: str) -> None:
        """Raise Rejected for a label in any split that training never saw."""
        for split, frame in splits.items():
            self.truth(split, frame[column])

    def truth(self, split: str, column: pl.Series) -> list[int]:
        """The number of each row's label; raises Rejected for one that training never saw."""
        labels = _words(split, column)
        unseen = sorted(set(labels) - set(self.labels))
        if unseen:
            raise Rejected(
                f"{split} has the label {unseen[0]!r} in {labels.count(unseen[0])} rows, which training never saw; "
                f"trained are: {', '.join(self.labels[:20])}",
                field="columns.label",
            )
        return [self._numbers[label] for label in labels]

    def loss(self, network: Network, batch: Batch, criterion: Criterion) -> torch.Tensor:
        return criterion(outputs_of(network, batch), batch["labels"])

    def predict(self, network: Network, batch: Batch) -> Predictions:
        """The likeliest class of each row, as a number, and the probability of every class."""
        logits = outputs_of(network, batch).float()
        truth = batch.get("labels")
        return Predictions(
            predicted=logits.argmax(-1).tolist(),
            scores=logits.softmax(-1).numpy(),
            losses=None
            if truth is None
            else functional.cross_entropy(logits, truth, reduction="none").numpy(),
        )

    def answer(self, predictions: Predictions) -> list[Tensor]:
        """The label, its probability, and the probability of every label."""
        rows = len(predictions.predicted)
        data: tuple[list[Any], ...] = (
            [self.labels[number] for number in predictions.predicted],
            predictions.scores.max(-1).tolist() if rows else [],
            predictions.scores.ravel().tolist(),
        )
        return [
            Tensor(
                name=out.name,
                datatype=out.datatype,
                shape=(rows, *out.shape[1:]),
                data=values,
                parameters=out.parameters,
            )
            for out, values in zip(self.outputs, data, strict=True)
        ]


def labels_of(column: pl.Series) -> list[str]:
    """Every label of the training split, sorted; numbers by value."""
    labels = sorted(
        set(_words("train", column)), key=lambda label: (not _is_number(label), _value(label), label)
    )
    if len(labels) < 2:
        raise Rejected(
            f"every row of train has the label {labels[0]!r}: nothing to tell apart", field="columns.label"
        )
    return labels


def _words(split: str, column: pl.Series) -> list[str]:
    """Labels as text, `1.0` as `1`; raises Rejected when some row has none."""
    if column.null_count():
        raise Rejected(f"{column.null_count()} rows of {split} have no label", field="columns.label")
    if column.dtype.is_nested() or str(column.dtype) == "Binary":
        raise Rejected(f"{column.name} holds {column.dtype}, not labels", field="columns.label")
    if column.dtype.is_float() and (column == column.floor()).all():
        column = column.cast(int)
    return [str(value) for value in column.to_list()]


def _is_number(label: str) -> bool:
    return label.removeprefix("-").isdigit()


def _value(label: str) -> int:
    return int(label) if _is_number(label) else 0
