"""InfoNCE (van den Oord et al. 2018): each row's own is to be nearer than what belongs to others of its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.tasks import Criterion


def make(
    labels: Sequence[str], truth: Sequence[Any], *, temperature: float = 0.05, both_ways: bool = False
) -> Criterion:
    """The lower the `temperature`, the more the nearest of the others count; `both_ways` has what belongs to an
    anchor find it among all anchors, too (Radford et al. 2021).

    The criterion takes how near each row is to all there is, (rows, all), its own at its own place, and bool of the
    same size: what else belongs to it, and is not held against it.
    """
    if not temperature > 0:
        raise Rejected(f"temperature is above 0, not {temperature}", field="train.loss.temperature")

    def criterion(near: torch.Tensor, belongs: torch.Tensor) -> torch.Tensor:
        rows = len(near)
        loss = _found(near / temperature, belongs)
        if not both_ways:
            return loss
        back = _found(near[:, :rows].T / temperature, belongs[:, :rows].T)
        return (loss + back) / 2

    return criterion


def _found(near: torch.Tensor, belongs: torch.Tensor) -> torch.Tensor:
    """How unlikely it is that each row finds its own, the mean."""
    own = torch.arange(len(near))
    others = belongs.clone()
    others[own, own] = False
    return functional.cross_entropy(near.masked_fill(others, -torch.inf), own)
