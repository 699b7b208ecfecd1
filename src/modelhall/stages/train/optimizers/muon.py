"""Muon: momentum made orthogonal, for the inner matrices of a network (Jordan et al. 2024); AdamW for all else.

Matrices take steps of the size AdamW's have (Liu et al. 2025, Muon is scalable), so that one rate does for both.
torch's own Muon computes in bfloat16, which processors without it emulate, one matrix after the other; here those of
one shape go together, as precise as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 2
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
TINY = 1e-7
STEP = 0.2
"""The root of the mean square of AdamW's steps, at a rate of 1."""


def make(
    groups: list[Group], *, momentum: float = 0.95, beta1: float = 0.9, beta2: float = 0.95
) -> torch.optim.Optimizer:
    """`momentum` is Muon's, the betas AdamW's."""
    inner = [group for group in groups if group["inner"]]
    others = [group for group in groups if not group["inner"]]
    parts: list[torch.optim.Optimizer] = []
    if inner:
        parts.append(Muon(inner, momentum=momentum))
    if others:
        parts.append(torch.optim.AdamW(others, betas=(beta1, beta2), fused=True))
    return Several(parts)


class Muon(torch.optim.Optimizer):
    """Over matrices alone. Nesterov's momentum, and weights that decay as AdamW's do."""

    def __init__(self, groups: list[Group], *, momentum: float) -> None:
        super().__init__(groups, {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in alike.items():
                steps = _orthogonal(torch.stack([self._moved(one, group["momentum"]) for one in matrices]))
                size = group["lr"] * STEP * math.sqrt(max(shape))
                for matrix, step in zip(matrices, steps, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-size)

    def _moved(self, matrix: torch.Tensor, momentum: float) -> torch.Tensor:
        """The gradient with its momentum, which is moved on."""
        gradient, state = matrix.grad, self.state[matrix]
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        buffer: torch.Tensor = state["momentum_buffer"]
        buffer.lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum)


def _orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest matrices whose singular values are about 1, of (number, rows, columns): Newton and Schulz's
    iteration, with the coefficients of Jordan et al."""
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    found = matrices.mT if is_tall else matrices
    found = found / (found.norm(dim=(-2, -1), keepdim=True) + TINY)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = found @ found.mT
        factor = torch.baddbmm(square, square, square, beta=third, alpha=fifth)
        found = torch.baddbmm(found, factor, found, beta=first)
    return found.mT if is_tall else found


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
