"""Optimizers and how their learning rate changes over a training."""

from __future__ import annotations

import math

import torch
from torch import nn

from modelhall.core.kinds.model import Train

_MOMENTUM = 0.9


def optimizer_for(network: nn.Module, train: Train) -> torch.optim.Optimizer:
    """The optimizer `train` asks for. Weights decay; biases and the factors of normalisations do not."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": train.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=train.learning_rate, momentum=_MOMENTUM)
    kind = torch.optim.AdamW if train.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=train.learning_rate, fused=True)


def learning_rate(train: Train, step: int, total: int) -> float:
    """The rate at step 0…total-1: up in a line over the warm-up, then as the schedule says, towards 0."""
    warmup = round(train.warmup * total)
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    left = (total - step) / max(1, total - warmup)
    if train.schedule == "linear":
        return train.learning_rate * left
    if train.schedule == "cosine":
        return train.learning_rate * (1 - math.cos(math.pi * left)) / 2
    return train.learning_rate
