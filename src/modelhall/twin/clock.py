"""Time that passes only when told to."""

from __future__ import annotations


class VirtualClock:
    """The clock port; `advance` is the only thing that moves it, and `jump` the only thing that sets it."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._jumped_s = 0.0

    def now(self) -> float:
        return self._start + self._elapsed_s + self._jumped_s

    def monotonic(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        self._elapsed_s += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock forward, or back. What measures by `monotonic` does not notice."""
        self._jumped_s += seconds


class OwnClock:
    """The clock of the nodes: it runs with the hall's, and nobody sets it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._start = clock.now() - clock.monotonic()

    def now(self) -> float:
        return self._start + self._clock.monotonic()

    def monotonic(self) -> float:
        return self._clock.monotonic()
