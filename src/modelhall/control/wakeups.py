"""Who is to be looked at, and when: a queue with one place a resource, alarms, and a back-off for those that fail.

Everything here is measured by a clock that never jumps.
"""

from __future__ import annotations

import heapq

from modelhall.core.kinds import Key

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0


class Wakeups:
    """However often a resource is woken, it is looked at once, and the one woken first comes first."""

    def __init__(self) -> None:
        self._due: dict[Key, None] = {}
        self._alarms: list[tuple[float, Key]] = []
        self._alarm_at: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}

    def __bool__(self) -> bool:
        return bool(self._due)

    def wake(self, *keys: Key) -> None:
        self._due.update(dict.fromkeys(keys))

    def set_alarm(self, key: Key, at: float) -> None:
        """Wake `key` at the earliest instant anybody asked for; one alarm each."""
        if at < self._alarm_at.get(key, float("inf")):
            self._alarm_at[key] = at
            heapq.heappush(self._alarms, (at, key))

    def ring(self, now: float) -> None:
        """Wake those whose alarm is due."""
        while self._alarms and self._alarms[0][0] <= now:
            at, key = heapq.heappop(self._alarms)
            if self._alarm_at.get(key) == at:
                del self._alarm_at[key]
                self.wake(key)

    def next(self) -> Key:
        """Take the one that has waited longest."""
        key = next(iter(self._due))
        del self._due[key]
        return key

    def succeeded(self, key: Key) -> None:
        self._failures.pop(key, None)

    def failed(self, key: Key, now: float) -> float:
        """Look at `key` again after a while, a longer one each time; return how long."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 10))
        self.set_alarm(key, now + delay_s)
        return delay_s

    def wait_s(self, now: float) -> float:
        """Seconds until somebody is due; infinite when nobody is."""
        if self._due:
            return 0.0
        return max(0.0, self._alarms[0][0] - now) if self._alarms else float("inf")
