"""Muon: momentum made orthogonal, for the inner matrices of a network (Jordan et al. 2024); AdamW for all else.

Matrices take steps of the size AdamW's have (Liu et al. 2025, Muon is scalable), so that one rate does for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 2


def make(
    groups: list[Group], *, momentum: float = 0.95, beta1: float = 0.9, beta2: float = 0.95
) -> torch.optim.Optimizer:
    """`momentum` is Muon's, the betas AdamW's."""
    inner = [group for group in groups if group["inner"]]
    others = [group for group in groups if not group["inner"]]
    parts: list[torch.optim.Optimizer] = []
    if inner:
        parts.append(torch.optim.Muon(inner, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
    if others:
        parts.append(torch.optim.AdamW(others, betas=(beta1, beta2), fused=True))
    return Several(parts)


class Several(torch.optim.Optimizer):
    """Optimizers side by side, each over parameters of its own."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self._parts = parts
        super().__init__([dict(group) for part in parts for group in part.param_groups], {})
        # The same groups, so that a rate set here is the parts' own.
        self.param_groups = [group for part in parts for group in part.param_groups]
        for part in parts:
            part.state = self.state

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        groups = iter(self.param_groups)
        for part in self._parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state
