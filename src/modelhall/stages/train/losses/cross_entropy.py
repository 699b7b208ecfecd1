"""Cross-entropy, of classes or of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.tasks import Criterion


def make(
    labels: Sequence[str],
    truth: Sequence[Any],
    *,
    label_smoothing: float = 0.0,
    weights: dict[str, float] | Literal["balanced"] | None = None,
) -> Criterion:
    """`weights` say how much the rows of a label count, 1 if not said; `balanced` has every label count alike,
    however many rows it has (King and Zeng 2001, as in scikit-learn: rows / (labels · rows of the label)).

    The criterion takes logits (rows, classes) and int64 (rows,), or the share of each class (rows, classes).
    """
    if not 0 <= label_smoothing < 1:
        raise Rejected(
            f"label_smoothing is a share from 0 to below 1, not {label_smoothing}",
            field="train.loss.label_smoothing",
        )
    weight = None if weights is None else torch.tensor(_weights(labels, truth, weights))

    def criterion(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, wanted, weight=weight, label_smoothing=label_smoothing)

    return criterion


def _weights(
    labels: Sequence[str], truth: Sequence[Any], weights: dict[str, float] | Literal["balanced"]
) -> list[float]:
    if not labels:
        raise Rejected("there are no labels to weigh here", field="train.loss.weights")
    if weights == "balanced":
        rows = Counter(truth)
        return [len(truth) / (len(labels) * rows[number]) for number in range(len(labels))]
    for label, value in weights.items():
        if label not in labels:
            raise Rejected(
                f"no label {label!r}; {did_you_mean(label, labels)}", field=f"train.loss.weights.{label}"
            )
        if not value >= 0:
            raise Rejected(f"a weight is 0 or more, not {value}", field=f"train.loss.weights.{label}")
    return [weights.get(label, 1.0) for label in labels]
