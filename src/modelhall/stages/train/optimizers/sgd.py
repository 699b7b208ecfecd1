"""Stochastic gradient descent with momentum (Robbins and Monro 1951; Polyak 1964)."""

from __future__ import annotations

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 1


def make(groups: list[Group], *, momentum: float = 0.9, nesterov: bool = False) -> torch.optim.Optimizer:
    """`nesterov` looks ahead (Nesterov 1983)."""
    return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov)
