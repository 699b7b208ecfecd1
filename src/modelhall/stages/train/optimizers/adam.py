"""Adam (Kingma and Ba 2015); its weight decay is part of the gradient."""

from __future__ import annotations

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 2


def make(groups: list[Group], *, beta1: float = 0.9, beta2: float = 0.999) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, betas=(beta1, beta2), fused=True)
