"""A model on its way to being smaller: methods take one and give one, in any order.

What a network is to be stored in is remembered until it is written, since what is trained further has to have all its
bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Never changed in place: ways that begin alike share drafts, and so networks are copied before they change."""

    network: nn.Module
    bits: int = 32
    """Of each weight, once it is written."""
    weights_only: bool = True
    """Whether what comes in stays as it is, so that weights are unpacked to meet it."""
