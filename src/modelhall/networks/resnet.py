"""A residual network for small pictures (He et al. 2016, in the form they use for CIFAR): three stages of blocks of
two convolutions around which the signal also goes unchanged; each stage after the first halves the picture."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from modelhall.core.errors import Rejected
from modelhall.core.shape import Shape
from modelhall.networks._parts import Logits, check_dropout, check_head, outputs

HEADS = ("image-classification",)


def build(shape: Shape, *, blocks: int = 2, channels: int = 16, dropout: float = 0.0) -> nn.Module:
    """`blocks` in each of three stages, of `channels`, twice and four times as many channels."""
    check_head("resnet", shape, HEADS)
    check_dropout(dropout)
    if blocks < 1 or channels < 1:
        raise Rejected(
            f"a stage has at least one block and one channel, not {blocks} and {channels}", field="network"
        )
    if min(shape.sizes["height"], shape.sizes["width"]) < 4:
        raise Rejected("pictures of less than 4 pixels cannot be halved twice", field="network.family")
    return ResNet(shape, blocks, channels, dropout)


class ResNet(nn.Module):
    """(rows, channels, height, width) → logits (rows, classes)."""

    def __init__(self, shape: Shape, blocks: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(shape.sizes["channels"], channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        before = channels
        for stage in range(3):
            after = channels * 2**stage
            for block in range(blocks):
                stages.append(Block(before, after, stride=2 if stage and not block else 1))
                before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(before, outputs(shape)))

    def forward(self, pixel_values: torch.Tensor) -> Logits:
        return Logits(self.head(self.stages(self.stem(pixel_values)).mean((2, 3))))


class Block(nn.Module):
    """What two convolutions add to what comes in."""

    def __init__(self, before: int, after: int, *, stride: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.around: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.around = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.around(picture) + self.change(picture))
