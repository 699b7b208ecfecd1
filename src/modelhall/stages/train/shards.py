"""A step's rows in shards, each learnt from by one of the workers, and their gradients added up.

Which rows a shard has and what is drawn for it (dropout, hidden words) is a function of the order alone, and so is
the order in which gradients are added: the outcome is the same to the bit, however many workers there are and
whichever of them learns from which shard. (That is why this is not DistributedDataParallel, whose sums depend on the
number of workers. The traffic is that of its all-reduce: every worker adds up one slice of the gradient, and tells
the others.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import nn

Gradient = Callable[[np.ndarray, int], float]
"""Adds the gradient of some of a step's rows, the second argument being how many the step has; their share of its
loss."""


class Together(Protocol):
    """The workers, seen by one of them (see `gang.group`)."""

    rank: int
    of: int

    def gather_slices(self, mine: torch.Tensor) -> torch.Tensor: ...
    def join_slices(self, mine: torch.Tensor) -> torch.Tensor: ...
    def tell(self, tensor: torch.Tensor) -> None: ...


class Alone:
    """One worker that learns from all shards."""

    rank, of = 0, 1

    def gather_slices(self, mine: torch.Tensor) -> torch.Tensor:
        return mine.view(1, -1)

    def join_slices(self, mine: torch.Tensor) -> torch.Tensor:
        return mine

    def tell(self, tensor: torch.Tensor) -> None:
        """There is nobody."""


class Shards:
    """Steps of one network over so many shards."""

    def __init__(self, network: nn.Module, number: int, *, seed: int) -> None:
        self._network = network
        self.number = number
        self._seed = seed
        self._learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._size = sum(parameter.numel() for parameter in self._learnt) + 1
        """Of a gradient, with the loss behind it."""
        # What is not stored with the weights is no state but a table that never changes.
        stored = network.state_dict(keep_vars=True)
        self._buffers = [buffer for name, buffer in network.named_buffers() if name in stored]

    def learn(self, step: int, rows: np.ndarray, gradient: Gradient, group: Together) -> float:
        """Have every parameter hold the gradient of all of a step's rows; their loss. What the network remembers of
        rows besides its parameters, such as means, is that of the first shard's. When somebody is gone, raises what
        `group` does, and the network is as it was."""
        before, after = self._remembered(), self._remembered()
        total: torch.Tensor | None = None
        try:
            for shard, part in self._of_this_worker(rows, group):
                _put(self._buffers, before)
                mine = self._gradient_of(part, len(rows), gradient, step=step, shard=shard, workers=group.of)
                if shard == 0:
                    after = self._remembered()
                for slice in group.gather_slices(mine)[: self.number - shard + group.rank]:
                    total = slice.clone() if total is None else total.add_(slice)
            assert total is not None
            whole = group.join_slices(total)
            for buffer in after:
                group.tell(buffer)
        except BaseException:
            _put(self._buffers, before)
            raise
        _put(self._buffers, after)
        self._put_gradient(whole)
        return float(whole[self._size - 1])

    def _of_this_worker(self, rows: np.ndarray, group: Together) -> Iterator[tuple[int, np.ndarray]]:
        """Its shards and their rows, as many as any other worker has: those behind the last have no rows."""
        parts = np.array_split(rows, self.number)
        for first in range(0, self.number, group.of):
            shard = first + group.rank
            yield shard, parts[shard] if shard < self.number else rows[:0]

    def _gradient_of(
        self, part: np.ndarray, of: int, gradient: Gradient, *, step: int, shard: int, workers: int
    ) -> torch.Tensor:
        """The gradient and the loss of one shard, of a size that can be cut in slices for so many workers."""
        found = torch.zeros(-(-self._size // workers) * workers)
        if len(part):
            self._draw_for(step, shard)
            for parameter in self._learnt:
                parameter.grad = None
            loss = gradient(part, of)
            self._take_gradient(found, loss)
        return found

    def _remembered(self) -> list[torch.Tensor]:
        return [buffer.clone() for buffer in self._buffers]

    def _draw_for(self, step: int, shard: int) -> None:
        """Have chance be that of one shard of one step."""
        (number,) = np.random.SeedSequence([self._seed, step, shard]).generate_state(1, np.uint64)
        torch.manual_seed(int(number) >> 1)

    def _take_gradient(self, into: torch.Tensor, loss: float) -> None:
        at = 0
        for parameter in self._learnt:
            if parameter.grad is not None:
                into[at : at + parameter.numel()].copy_(parameter.grad.reshape(-1))
            at += parameter.numel()
        into[at] = loss

    def _put_gradient(self, whole: torch.Tensor) -> None:
        at = 0
        for parameter in self._learnt:
            parameter.grad = whole[at : at + parameter.numel()].view_as(parameter).to(parameter.dtype)
            at += parameter.numel()


def _put(buffers: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)
