"""What one gateway has in hand of a pot: drawn in portions, reserved when a request comes, settled when it is over.

A gateway that holds much keeps it from the others, one that holds little has to draw often. So a portion is a
sixteenth of what fills up again and a sixty-fourth of a budget, and what lies unused goes back after a while.
"""

from __future__ import annotations

from modelhall.core.ports.treasury import Portion
from modelhall.policy.pots import Limit

PORTIONS = 16
PORTIONS_OF_BUDGET = 64
IDLE_S = 5.0
"""What was not touched for so long is given back."""
ASK_AGAIN_S = 1.0
"""The longest time that an empty pot is taken to be empty still: others may have given back."""


class Purse:
    """Changed in place, since it is looked at in every request."""

    __slots__ = (
        "_ask_at",
        "_drawn_at",
        "_touched_at",
        "left",
        "limit",
        "portion",
        "pot_left",
        "reserved",
        "waiting",
    )

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.portion = max(1, limit.pot.amount // (PORTIONS_OF_BUDGET if limit.is_budget else PORTIONS))
        self.left = 0
        """In hand and free. Below 0 when requests took more than was reserved for them."""
        self.reserved = 0
        """For requests that are on their way."""
        self.pot_left = limit.pot.amount
        """In the pot, when it was last drawn from."""
        self.waiting = 0
        """What those take who wait for a draw."""
        self._drawn_at = self._touched_at = self._ask_at = now

    def take(self, amount: int, now: float) -> bool:
        """Reserve so much, if it is in hand."""
        self._touched_at = now
        if amount > self.left:
            return False
        self.left -= amount
        self.reserved += amount
        return True

    def settle(self, reserved: int, used: int) -> None:
        """A request is over for which so much was reserved."""
        self.reserved -= reserved
        self.left += reserved - used

    def may_draw(self, amount: int, now: float) -> bool:
        """Whether there may be so much in the pot: whoever asks too much must not make the gateway ask each time."""
        return now >= self._ask_at or amount <= self.left + self.pot_left

    @property
    def wanted(self) -> int:
        """How much to draw for those who wait, and a portion more."""
        return self.waiting - self.left + self.portion

    def drawn(self, portion: Portion, amount: int, now: float) -> None:
        """That came of a draw for somebody who takes `amount`."""
        self.left += portion.granted
        self.pot_left = portion.left
        self._drawn_at = now
        if amount > self.left:
            self._ask_at = now + min(ASK_AGAIN_S, self.delay_s(amount, now) or ASK_AGAIN_S)

    def spare(self, now: float) -> int:
        """What is to be given back, which is then no longer in hand; below 0 what is still to be drawn."""
        if now - self._touched_at < IDLE_S:
            return 0
        spare, self.left = self.left, 0
        return spare

    def is_idle(self, now: float) -> bool:
        """Whether nothing is in hand and nobody is on the way."""
        return not (self.left or self.reserved or self.waiting) and now - self._touched_at >= IDLE_S

    def remaining(self, now: float) -> int:
        """About as much as may still be used: what others have drawn since the last draw is not known."""
        pot = self.limit.pot
        filled = (now - self._drawn_at) / pot.period_s * pot.amount if pot.period_s else 0
        return max(0, min(self.left + self.pot_left + int(filled), pot.amount))

    def delay_s(self, amount: int, now: float) -> float:
        """In about how many seconds there will be so much; 0.0 of a budget, where that cannot be said."""
        pot = self.limit.pot
        if pot.period_s is None:
            return 0.0
        return max(0, amount - self.remaining(now)) * pot.period_s / pot.amount
