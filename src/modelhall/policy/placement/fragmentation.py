"""`fragmentation`: the node and the GPU where the least of what is free becomes of no use.

What is free on a node is of no use to a run that asks for more of a GPU, or for more processors or memory, than there
is beside it; how much that is, for the mean of what runs usually ask for, is the node's fragmentation, and a run is
put where it grows least (FGD: Weng et al., USENIX ATC 2023). Where none is better than another, on the node with the
least left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from modelhall.policy.placement import Score, Typical, best_fit
from modelhall.policy.room import WHOLE, Free, Shape

TIE = 1e-3
"""What the least left counts beside a thousandth of a GPU that is of no use."""


def score(typical: Typical) -> Score:
    measure, left = Fragmentation(typical), best_fit.score(typical)

    def growth(before: Free, after: Free) -> float:
        return measure(after) - measure(before) + TIE * left(before, after)

    return growth


class Fragmentation:
    """How many thousandths of a node's GPUs are free and of no use to the mean of typical runs."""

    def __init__(self, typical: Typical) -> None:
        self._asks = [(shape, share) for shape, share in typical.asks if shape.gpus_milli]
        self._cpus = sorted({shape.cpus_milli for shape, _ in self._asks})
        self._memory = sorted({shape.memory_bytes for shape, _ in self._asks})
        self._of_state = lru_cache(maxsize=200_000)(self._measured)
        self._of_rank = lru_cache(maxsize=None)(self._asks_up_to)

    def __call__(self, free: Free) -> float:
        return self._of_state(free.cpus_milli, free.memory_bytes, tuple(sorted(free.gpus)))

    def _measured(self, cpus_milli: int, memory_bytes: int, gpus: Sequence[int]) -> float:
        asks = self._of_rank(bisect_right(self._cpus, cpus_milli), bisect_right(self._memory, memory_bytes))
        total, idle = sum(gpus), sum(free == WHOLE for free in gpus)
        of_parts = sum(free * asks.larger_than(free) for free in gpus if free)
        possible = asks.of_whole[min(idle, len(asks.of_whole) - 1)]
        of_whole = possible * (total - idle * WHOLE) + (asks.of_whole[-1] - possible) * total
        return asks.elsewhere * total + of_parts + of_whole

    def _asks_up_to(self, cpus_rank: int, memory_rank: int) -> _Asks:
        cpus = self._cpus[cpus_rank - 1] if cpus_rank else -1
        memory = self._memory[memory_rank - 1] if memory_rank else -1
        fits = [shape.cpus_milli <= cpus and shape.memory_bytes <= memory for shape, _ in self._asks]
        return _Asks(
            [ask for ask, fit in zip(self._asks, fits, strict=True) if fit],
            sum(share for (_, share), fit in zip(self._asks, fits, strict=True) if not fit),
        )


class _Asks:
    """Typical asks for which there are processors and memory enough, by what they ask of GPUs."""

    def __init__(self, asks: Sequence[tuple[Shape, float]], elsewhere: float) -> None:
        self.elsewhere = elsewhere
        """The share of those for which there are not."""
        parts = sorted((shape.gpus_milli, share) for shape, share in asks if shape.gpus_milli < WHOLE)
        self._sizes = [size for size, _ in parts]
        self._up_to = [0.0, *accumulate(share for _, share in parts)]
        counts = [(shape.gpus_milli // WHOLE, share) for shape, share in asks if shape.gpus_milli >= WHOLE]
        most = max((count for count, _ in counts), default=0)
        self.of_whole = [sum(share for count, share in counts if count <= idle) for idle in range(most + 1)]
        """The share of those that ask for whole GPUs, up to so many of them."""

    def larger_than(self, free: int) -> float:
        """The share of those that ask for a larger part of a GPU."""
        return self._up_to[-1] - self._up_to[bisect_right(self._sizes, free)]
