"""The arithmetic of pots that fill up again.

Such a pot is kept as the one instant at which it will be full (the generic cell rate algorithm, ITU-T I.371).
"""

from __future__ import annotations

from modelhall.core.ports.treasury import Pot


def taken(pot: Pot, full_at: float, now: float) -> int:
    """How much is out of the pot. A clock that was set back makes nobody wait for longer than a period."""
    assert pot.period_s is not None
    missing = (full_at - now) / pot.period_s * pot.amount
    return min(max(round(missing), 0), pot.amount)


def full_at(pot: Pot, taken: int, now: float) -> float:
    """When the pot will be full, if so much is out of it now."""
    assert pot.period_s is not None
    return now + taken * pot.period_s / pot.amount
