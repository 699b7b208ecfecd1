"""Direct preference optimization (Rafailov et al. 2023): a chosen answer becomes likelier than a rejected one, more
than it is to a reference that stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.tasks import Criterion


def make(
    labels: Sequence[str], truth: Sequence[Any], *, beta: float = 0.1, label_smoothing: float = 0.0
) -> Criterion:
    """The larger `beta`, the nearer the network stays to the reference; `label_smoothing` is the share of pairs that
    may be the wrong way round (Mitchell 2023, conservative DPO).

    The criterion takes how much likelier the chosen answers are to the network, and to the reference, (rows,)."""
    if not beta > 0:
        raise Rejected(f"beta is above 0, not {beta}", field="train.loss.beta")
    if not 0 <= label_smoothing < 0.5:
        raise Rejected(
            f"label_smoothing is a share from 0 to below 0.5, not {label_smoothing}",
            field="train.loss.label_smoothing",
        )

    def criterion(margins: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        rewards = beta * (margins - reference)
        right, wrong = -functional.logsigmoid(rewards), -functional.logsigmoid(-rewards)
        return ((1 - label_smoothing) * right + label_smoothing * wrong).mean()

    return criterion
