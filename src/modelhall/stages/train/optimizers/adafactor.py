"""Adafactor: remembers a row and a column of each matrix instead of all of it (Shazeer and Stern 2018)."""

from __future__ import annotations

import torch

from modelhall.stages.train.optimizers import Group

REMEMBERS = 0


def make(groups: list[Group], *, beta2_decay: float = -0.8) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(groups, beta2_decay=beta2_decay)
