"""What the families here share: how they speak, which heads they have, activations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean
from modelhall.core.shape import Shape

TABULAR = ("tabular-classification", "tabular-regression")
OF_TEXTS = ("sequence-classification", "text-embedding")
"""What is told of a text as a whole."""

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "elu": nn.ELU,
    "leaky-relu": nn.LeakyReLU, "mish": nn.Mish,
}  # fmt: skip


class Logits(NamedTuple):
    """What a network returns; the field has the name transformers gives it."""

    logits: torch.Tensor


def check_head(family: str, shape: Shape, heads: tuple[str, ...]) -> None:
    """Raise Rejected for a head that a family does not have."""
    if shape.head not in heads:
        raise Rejected(
            f"{family} has no head for {shape.head}; it has: {', '.join(heads)}", field="network.family"
        )


def check_dropout(dropout: float) -> None:
    """Raise Rejected unless it is a share."""
    if not 0 <= dropout < 1:
        raise Rejected(f"dropout is a share from 0 to below 1, not {dropout}", field="network.dropout")


def activation(name: str) -> nn.Module:
    """A new one by its name; raises Rejected."""
    if name not in _ACTIVATIONS:
        raise Rejected(
            f"no activation {name!r}; {did_you_mean(name, _ACTIVATIONS)}", field="network.activation"
        )
    return _ACTIVATIONS[name]()


def outputs(shape: Shape) -> int:
    """How many figures come out: one for each label, or one."""
    return len(shape.labels) or 1


def told_of(shape: Shape, hidden: int) -> nn.Module:
    """The layer behind the states of a text: classes are told apart, a vector stays as it is."""
    return nn.Linear(hidden, outputs(shape)) if shape.head == "sequence-classification" else nn.Identity()


def mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(rows, length, hidden) → (rows, hidden), over each row's own tokens."""
    there = mask.unsqueeze(-1).to(states.dtype)
    return (states * there).sum(1) / there.sum(1)


def width(shape: Shape) -> int:
    """How many numbers a row of a table or a picture is."""
    if "features" in shape.sizes:
        return shape.sizes["features"]
    return shape.sizes["channels"] * shape.sizes["height"] * shape.sizes["width"]
