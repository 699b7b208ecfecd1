"""Freezing: parameters that are not trained."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from modelhall.core.errors import Rejected
from modelhall.core.names import did_you_mean


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Have the parameters that match one of `patterns` stay as they are. Raises Rejected for a pattern that matches
    none."""
    parameters = dict(network.named_parameters())
    for pattern in patterns:
        matching = [name for name in parameters if fnmatchcase(name, pattern)]
        if not matching:
            raise Rejected(
                f"no parameter matches {pattern!r}; {did_you_mean(pattern, parameters)}", field="train.freeze"
            )
        for name in matching:
            parameters[name].requires_grad = False
