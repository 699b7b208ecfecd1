"""How fast a training is: rows or tokens a second, the arithmetic it does, and its share of what the processor could
do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from modelhall.stages.train.machine.rehearsal import Rehearsal


class Tempo:
    """Of the steps since it was last asked; validations and checkpoints do not count."""

    def __init__(
        self,
        *,
        unit: str,
        lengths: np.ndarray,
        rehearsal: Rehearsal,
        peak_gflops: float,
        monotonic: Callable[[], float],
    ) -> None:
        """`lengths` are those of all rows, in `unit`; `peak_gflops` is what the processors of one worker could do."""
        self._unit = unit
        self._lengths = lengths
        self._rehearsal = rehearsal
        self._peak_gflops = peak_gflops
        self._monotonic = monotonic
        self._spent_s = self._done = self._gflop = 0.0

    @contextlib.contextmanager
    def of(self, rows: np.ndarray) -> Iterator[None]:
        """A step over some rows."""
        began = self._monotonic()
        yield
        self._spent_s += self._monotonic() - began
        self._done += float(self._lengths[rows].sum())
        self._gflop += self._rehearsal.flop_of(self._lengths[rows]) / 1e9

    def figures(self, workers: int = 1) -> dict[str, float]:
        """What was reached by so many workers, such as `tokens_per_s`; nothing before the first step."""
        if not self._spent_s:
            return {}
        reached = self._gflop / self._spent_s
        figures = {
            f"{self._unit}_per_s": self._done / self._spent_s,
            "gflop_per_s": reached,
            "peak_share": reached / (self._peak_gflops * workers),
        }
        self._spent_s = self._done = self._gflop = 0.0
        return figures
