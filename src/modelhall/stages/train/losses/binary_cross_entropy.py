"""Binary cross-entropy: each class against all others, by a sigmoid of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from modelhall.tasks import Criterion


def make(labels: Sequence[str], truth: Sequence[Any]) -> Criterion:
    """The criterion takes logits (rows, classes) and int64 (rows,), or the share of each class (rows, classes)."""

    def criterion(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        shares = wanted if wanted.is_floating_point() else functional.one_hot(wanted, logits.shape[-1])
        return functional.binary_cross_entropy_with_logits(logits, shares.to(logits.dtype))

    return criterion
