"""Time that passes only when told to."""

from __future__ import annotations


class VirtualClock:
    """The clock port; `advance` is the only thing that moves it."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
