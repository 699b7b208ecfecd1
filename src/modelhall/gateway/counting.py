"""What comes of the requests one release gets, counted for whoever decides whether it may have more."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable

from modelhall.core.ports.traffic import BUCKETS_S, Tally
from modelhall.gateway.reply import Reply

FIRST_FAILURE = 500
UNWILLING = (502, 503, 504)
"""With these a replica says that another may do better."""


class Counting:
    """A tally as it grows."""

    def __init__(self, trial: str, release: str, now: Callable[[], float]) -> None:
        self.trial = trial
        self.release = release
        self.failures = 0
        self.compared = 0
        self.differing = 0
        self.dropped = 0
        self._now = now
        self._answers = 0
        self._waits = [0] * (len(BUCKETS_S) + 1)

    async def of(self, sending: Awaitable[Reply]) -> Reply:
        """The reply, counted by how it begins. What raises a Failure, now or on its way, is counted by whoever holds
        it against the replica, and so is what is answered with one of `UNWILLING`."""
        started = self._now()
        reply = await sending
        head = reply.head
        assert head is not None
        if head.status < FIRST_FAILURE:
            self._answers += 1
            self._waits[bisect_left(BUCKETS_S, reply.began_at - started)] += 1
        elif head.status not in UNWILLING:
            self.failures += 1
        return reply

    def tally(self) -> Tally:
        """As it is now."""
        longest = max((at for at, count in enumerate(self._waits, start=1) if count), default=0)
        return Tally(
            trial=self.trial, release=self.release, answers=self._answers, failures=self.failures,
            waits=tuple(self._waits[:longest]), compared=self.compared, differing=self.differing,
            dropped=self.dropped,
        )  # fmt: skip
