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
    if weights is None and not label_smoothing:
        return _Plain()
    weight = None if weights is None else torch.tensor(_weights(labels, truth, weights))

    def criterion(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, wanted, weight=weight, label_smoothing=label_smoothing)

    return criterion


class _Plain:
    """Where all labels count alike and are certain."""

    def __call__(self, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, wanted)

    def slope(self, logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """In the place of the logits, in half the passes over memory. A share too small for a float, as of a label
        that is thought impossible, is told as the smallest there is: 87 is the largest loss."""
        shares, places = torch.softmax(logits, -1, out=logits), wanted[:, None]
        wanted_shares = shares.gather(1, places)
        shares.scatter_(1, places, wanted_shares - 1)
        least = torch.finfo(logits.dtype).tiny
        return -wanted_shares.clamp_min(least).log().sum(), shares


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
