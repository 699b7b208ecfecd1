"""One linear layer: linear regression where a number is told, logistic regression where classes are."""

from __future__ import annotations

import torch
from torch import nn

from modelhall.core.shape import Shape
from modelhall.networks._parts import TABULAR, Logits, check_head, outputs, width

HEADS = (*TABULAR, "image-classification")


def build(shape: Shape) -> nn.Module:
    """Takes rows of a table, and pictures as one long row."""
    check_head("linear", shape, HEADS)
    return Linear(shape)


class Linear(nn.Module):
    """features (rows, width) or pixel_values (rows, channels, height, width) → logits (rows, outputs)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layer = nn.Linear(width(shape), outputs(shape))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(
        self, features: torch.Tensor | None = None, pixel_values: torch.Tensor | None = None
    ) -> Logits:
        given = features if features is not None else pixel_values
        assert given is not None
        return Logits(self.layer(given.flatten(1)))
