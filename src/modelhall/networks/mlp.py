"""A multi-layer perceptron: linear layers with an activation between them."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.core.shape import Shape
from modelhall.networks._parts import (
    TABULAR,
    Logits,
    activation,
    check_dropout,
    check_head,
    outputs,
    width,
)

HEADS = (*TABULAR, "image-classification")


def build(
    shape: Shape, *, hidden: list[int] | None = None, activation: str = "relu", dropout: float = 0.0
) -> nn.Module:
    """One layer for each number in `hidden`, by default 128 and 64. Takes rows of a table, and pictures as one long
    row."""
    hidden = [128, 64] if hidden is None else hidden
    check_head("mlp", shape, HEADS)
    check_dropout(dropout)
    if not hidden or min(hidden) < 1:
        raise Rejected(f"layers have at least one unit each, not {hidden}", field="network.hidden")
    return Mlp(shape, hidden, activation, dropout)


class Mlp(nn.Module):
    """features (rows, width) or pixel_values (rows, channels, height, width) → logits (rows, outputs)."""

    def __init__(self, shape: Shape, hidden: list[int], name: str, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([width(shape), *hidden]):
            layers += [nn.Linear(before, after), activation(name), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs(shape)))

    def forward(
        self, features: torch.Tensor | None = None, pixel_values: torch.Tensor | None = None
    ) -> Logits:
        given = features if features is not None else pixel_values
        assert given is not None
        return Logits(self.layers(given.flatten(1)))
