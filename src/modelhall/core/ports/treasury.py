"""Where what may be used is shared out to the gateways that let it be used.

There is a pot for each limit and each budget. A gateway draws a portion of a pot, lets callers use that up without
asking anybody, and draws again; so no request waits for a central place, and all gateways together never let more be
used than the pots hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Pot:
    """One thing that is shared out, in whole units: requests, tokens, or billionths of money."""

    name: str
    amount: int
    """As much there is in all."""
    period_s: float | None = None
    """Within so long an empty pot is full again, little by little. None: what is taken out stays out."""


class Portion(NamedTuple):
    """What came of a draw."""

    granted: int
    left: int
    """In the pot, after it."""


class Treasury(Protocol):
    """Pots that several gateways draw from.

    Of a pot that does not fill up again it is kept durably who drew how much, before a draw returns. Methods raise
    NotNow when the treasury cannot be reached in time, and `Full` when there is no room to write.
    """

    async def draw(self, holder: str, pot: Pot, want: int, now: float) -> Portion:
        """Take up to `want` out of a pot, as much as there is. `now` is in seconds since the epoch."""
        ...

    async def give_back(self, holder: str, pot: Pot, amount: int, now: float) -> None:
        """Put back what was drawn and not used."""
        ...

    async def holders(self) -> list[str]:
        """Who has drawn of pots that do not fill up, and was not settled since."""
        ...

    async def settle(self, holder: str, used: Mapping[str, int]) -> None:
        """A holder is no more: of all that it drew of pots that do not fill up, it used this, by the pots' names;
        never more than it drew. The rest is in the pots again."""
        ...

    async def taken(self, pots: Collection[Pot], now: float) -> dict[str, int]:
        """How much is out of each of these pots, by name."""
        ...

    async def close(self) -> None: ...
