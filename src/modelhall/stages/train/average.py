"""An exponential moving average of the weights: steadier than those of any one step (Polyak and Juditsky 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn


class Average:
    """Of one network's state. What is no floating-point number, such as a count, is taken as it is."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def take_in(self) -> None:
        """Move towards the network as it is now."""
        for name, tensor in self._network.state_dict().items():
            if tensor.is_floating_point():
                self.weights[name].lerp_(tensor, 1 - self._decay)
            else:
                self.weights[name].copy_(tensor)

    def go_on(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Be as one was that had these."""
        self.weights = dict(weights)

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """The network with the averaged weights, for a while."""
        own = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._network.load_state_dict(own)
