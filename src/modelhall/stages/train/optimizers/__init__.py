"""Optimizers: one file each. The file's name is what `train.optimizer` calls it.

A file has `make(groups, *, options…)`, which returns a torch optimizer over groups of parameters, each of which has
its `lr` and `weight_decay`, and `REMEMBERS`: how many numbers of each weight it keeps at most. All that an optimizer
remembers is tensors in its `state`, so that a checkpoint holds it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.core.kinds.model import Train

Group = dict[str, Any]
"""What torch calls a parameter group: `params`, `lr`, `weight_decay`; and `inner`: whether they are matrices that map
features to features, neither looked up row by row nor the last to be applied."""


def make(network: nn.Module, train: Train) -> torch.optim.Optimizer:
    """The optimizer `train` asks for. Weights decay; biases and the factors of normalisations do not.

    Raises Rejected when no parameter is left to learn.
    """
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not learnt:
        raise Rejected("every parameter is frozen, so there is nothing to train", field="train.freeze")
    inner = _inner(network)
    sorts: list[Group] = [
        {"params": [p for p in learnt if id(p) in inner], "weight_decay": train.weight_decay, "inner": True},
        {
            "params": [p for p in learnt if id(p) not in inner and p.ndim > 1],
            "weight_decay": train.weight_decay,
            "inner": False,
        },
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0, "inner": False},
    ]
    groups = [{**group, "lr": train.learning_rate} for group in sorts if group["params"]]
    chosen = train.optimizer
    optimizer: torch.optim.Optimizer = plugins.load("optimizer", chosen.name).make(groups, **chosen.options)
    return optimizer


def _inner(network: nn.Module) -> set[int]:
    """The ids of inner matrices."""
    looked_up = {id(part.weight) for part in network.modules() if isinstance(part, nn.Embedding)}
    linear = [id(part.weight) for part in network.modules() if isinstance(part, nn.Linear)]
    return set(linear[:-1]) - looked_up
