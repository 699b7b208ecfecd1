"""How many tries there may be beyond the first: a service in trouble must not be asked even more (as in Finagle)."""

from __future__ import annotations

RESERVE = 100.0
"""Tries in hand when all has been well: as many requests as may be on their way to a replica that dies."""


class RetryBudget:
    """Each request pays a share of a try in; each further try takes a whole one out."""

    def __init__(self, share: float, reserve: float = RESERVE) -> None:
        self.share = share
        self._reserve = reserve
        self._left = reserve

    def pay_in(self) -> None:
        """There is another request."""
        self._left = min(self._left + self.share, self._reserve)

    def take(self) -> bool:
        """Whether there may be another try, which is then taken out."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
