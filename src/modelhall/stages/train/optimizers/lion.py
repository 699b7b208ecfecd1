"""Lion: steps of one size, in the direction of the sign (Chen et al. 2023). Rates are 3 to 10 times smaller than
AdamW's, and weight decay as much larger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 1


def make(groups: list[Group], *, beta1: float = 0.9, beta2: float = 0.99) -> torch.optim.Optimizer:
    return Lion(groups, beta1, beta2)


class Lion(torch.optim.Optimizer):
    """Remembers one tensor a parameter, half of what Adam does."""

    def __init__(self, groups: list[Group], beta1: float, beta2: float) -> None:
        super().__init__(groups, {"beta1": beta1, "beta2": beta2})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step from the gradients that are there."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: torch.Tensor, gradient: torch.Tensor, group: Group) -> None:
        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        direction = torch.lerp(gradient, momentum, group["beta1"]).sign_()
        parameter.add_(direction, alpha=-group["lr"])
        momentum.lerp_(gradient, 1 - group["beta2"])
