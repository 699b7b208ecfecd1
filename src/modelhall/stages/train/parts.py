"""In how many parts a step's rows go through the network: so many as were asked for, and twice as many each time that
memory was exhausted, if that is wished."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from modelhall.core.errors import Failed

_SAID = ("can't allocate memory", "not enough memory", "could not create a memory")
"""What torch and the libraries below it say in errors that have no class of their own."""


class Parts:
    """The parts of every step of one network."""

    def __init__(self, network: nn.Module, number: int, *, split: bool) -> None:
        """`split` is whether there may be more of them."""
        self._network = network
        self._split = split
        self.number = number

    def over(self, rows: np.ndarray, backward: Callable[[np.ndarray], float]) -> float:
        """The sum of what `backward` makes of each part of some rows, whose gradients it adds to none. Raises Failed
        when memory is exhausted and there is nothing to split."""
        before = _State(self._network)
        while (total := self._tried(rows, backward)) is None:
            if not self._split or self.number >= len(rows):
                raise Failed(
                    f"there is no memory left for {-(-len(rows) // self.number)} rows at a time; a larger "
                    "`accumulate`, `checkpointing: true`, `on_oom: split` or more of `resources.memory_gib` would do",
                    field="train.accumulate",
                )
            self.number = min(2 * self.number, len(rows))
            before.put_back()
        return total

    def _tried(self, rows: np.ndarray, backward: Callable[[np.ndarray], float]) -> float | None:
        """None when memory was exhausted. What that left behind is gone with the error, which is why it is not
        handled where it is caught."""
        try:
            return sum(backward(part) for part in np.array_split(rows, min(self.number, len(rows))))
        except (MemoryError, RuntimeError) as error:
            if not is_exhausted(error):
                raise
            return None


class _State:
    """What a step that ends half way leaves changed: gradients, chance, and what a network remembers of rows."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._random = torch.get_rng_state()
        self._buffers = [buffer.clone() for buffer in network.buffers()]

    def put_back(self) -> None:
        self._network.zero_grad(set_to_none=True)
        torch.set_rng_state(self._random)
        for buffer, value in zip(self._network.buffers(), self._buffers, strict=True):
            buffer.copy_(value)


def is_exhausted(error: Exception) -> bool:
    """Whether an error says that there is no memory left."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in str(error) for words in _SAID
    )
