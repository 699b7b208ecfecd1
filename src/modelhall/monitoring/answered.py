"""What a service has answered of late, from the usage its requests leave behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from modelhall.core.ports.book import Usage
from modelhall.core.ports.sensor import Figure

LATEST = 1000
"""Requests that latency and failures are told of, at most."""
WINDOW_S = 60.0
SOURCE = "usage journal of the gateway"


class Answered:
    """The requests of one service, since this process began to hear of them."""

    def __init__(self) -> None:
        self._requests = 0
        self._failures = 0
        self._tokens = 0
        self._latest: deque[Usage] = deque(maxlen=LATEST)

    def hear(self, usages: Iterable[Usage]) -> None:
        """Take in requests that are over."""
        for usage in usages:
            self._requests += 1
            self._failures += usage.status >= 500
            self._tokens += usage.tokens_out or 0
            self._latest.append(usage)

    def figures(self, now: float) -> list[Figure]:
        """The counts, and of the requests of the last minute how many failed and how long they took."""
        latest = [usage for usage in self._latest if now - WINDOW_S <= usage.ended_at <= now]
        found = {
            "requests": float(self._requests),
            "failures": float(self._failures),
            "tokens": float(self._tokens),
        }
        if latest:
            durations_s = sorted(usage.duration_s for usage in latest)
            found["latency_p95_s"] = durations_s[min(len(latest) - 1, int(0.95 * len(latest)))]
            found["failed_share"] = sum(usage.status >= 500 for usage in latest) / len(latest)
        return [Figure(name=name, value=value, source=SOURCE) for name, value in found.items()]
