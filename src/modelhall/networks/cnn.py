"""A small convolutional network for images: blocks of two convolutions, each halving the picture, then a mean
over what is left and one hidden layer (after VGG, Simonyan and Zisserman 2014, with batch normalisation)."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.core.shape import Shape
from modelhall.networks._parts import Logits, check_dropout, check_head


def build(
    shape: Shape, *, channels: list[int] | None = None, hidden: int = 64, dropout: float = 0.1
) -> nn.Module:
    """One block for each number in `channels`, by default 16 and 32. Takes images the blocks can halve."""
    channels = [16, 32] if channels is None else channels
    check_head("cnn", shape, ("image-classification",))
    check_dropout(dropout)
    if not channels or min(channels) < 1 or hidden < 1:
        raise Rejected("layers need at least one channel each", field="network.channels")
    side = min(shape.sizes["height"], shape.sizes["width"])
    if side < 2 ** (len(channels) - 1):
        raise Rejected(
            f"images of {side} pixels cannot be halved {len(channels) - 1} times", field="network.channels"
        )
    return Cnn(shape, channels, hidden, dropout)


class Cnn(nn.Module):
    """(rows, channels, height, width) → logits (rows, classes)."""

    def __init__(self, shape: Shape, channels: list[int], hidden: int, dropout: float) -> None:
        super().__init__()
        sizes = [shape.sizes["channels"], *channels]
        blocks: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(sizes)):
            if number:
                blocks.append(nn.MaxPool2d(2))
            for width in (before, after):
                # Batch normalisation has a bias of its own.
                blocks += [
                    nn.Conv2d(width, after, 3, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                ]
        self.features = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * channels[-1], hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, len(shape.labels)),
        )

    def forward(self, pixel_values: torch.Tensor) -> Logits:
        return Logits(self.head(self.features(pixel_values)))
