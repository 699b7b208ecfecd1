"""AdamW: Adam with its weight decay apart from the gradient (Loshchilov and Hutter 2019)."""

from __future__ import annotations

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 2


def make(groups: list[Group], *, beta1: float = 0.9, beta2: float = 0.999) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, betas=(beta1, beta2), fused=True)
