"""Squared errors up to `delta`, absolute ones beyond (Huber 1964)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.tasks import Criterion


def make(labels: Sequence[str], truth: Sequence[Any], *, delta: float = 1.0) -> Criterion:
    """`delta` is in spreads of the target over the training rows. The criterion takes float tensors of one shape."""
    if not delta > 0:
        raise Rejected(f"delta is above 0, not {delta}", field="train.loss.delta")
    return partial(functional.huber_loss, delta=delta)
