"""Time comes in by the door, so that a virtual clock can drive everything."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, for records."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for measuring."""
        ...
