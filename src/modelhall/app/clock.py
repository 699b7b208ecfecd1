"""The real time."""

from __future__ import annotations

import time


class SystemClock:
    """The clock port on the real world."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
