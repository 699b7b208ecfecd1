"""A treasury in memory: for tests, and for a gateway that is alone. Nothing outlives the process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from modelhall.adapters.treasury import _filling
from modelhall.core.ports.treasury import Portion, Pot

SETTLED = ""
"""The holder of what those have used who are no more."""


def open_treasury(folder: Path) -> MemoryTreasury:
    """A new treasury, of which nothing has been drawn; `folder` is not touched."""
    return MemoryTreasury()


class MemoryTreasury:
    """The treasury port over dictionaries. Its methods never wait, so a virtual clock can drive it."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._drawn: defaultdict[str, dict[str, int]] = defaultdict(dict)
        """Pot → holder → how much."""

    async def draw(self, holder: str, pot: Pot, want: int, now: float) -> Portion:
        before = self._taken(pot, now)
        granted = max(0, min(want, pot.amount - before))
        self._put(holder, pot, granted, before, now)
        return Portion(granted, max(0, pot.amount - before - granted))

    async def give_back(self, holder: str, pot: Pot, amount: int, now: float) -> None:
        self._put(holder, pot, -amount, self._taken(pot, now), now)

    async def holders(self) -> list[str]:
        return sorted({holder for drawn in self._drawn.values() for holder in drawn} - {SETTLED})

    async def settle(self, holder: str, used: Mapping[str, int]) -> None:
        for name, drawn in self._drawn.items():
            if holder in drawn:
                kept = min(drawn.pop(holder), used.get(name, 0))
                drawn[SETTLED] = drawn.get(SETTLED, 0) + kept

    async def taken(self, pots: Collection[Pot], now: float) -> dict[str, int]:
        return {pot.name: self._taken(pot, now) for pot in pots}

    async def close(self) -> None:
        pass

    def _taken(self, pot: Pot, now: float) -> int:
        if pot.period_s is None:
            return sum(self._drawn[pot.name].values())
        return _filling.taken(pot, self._full_at.get(pot.name, now), now)

    def _put(self, holder: str, pot: Pot, more: int, before: int, now: float) -> None:
        if pot.period_s is None:
            drawn = self._drawn[pot.name]
            drawn[holder] = max(0, drawn.get(holder, 0) + more)
        else:
            self._full_at[pot.name] = _filling.full_at(pot, max(0, before + more), now)
