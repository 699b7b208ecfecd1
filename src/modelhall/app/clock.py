"""The real time."""

from __future__ import annotations

import time


class SystemClock:
    """The clock port on the real world."""

    # The functions themselves: a call more would be a good part of what is done for a request before it is sent on.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
