"""What this gateway has in hand of every limit its requests come under: taken when a request is let in, settled when
it is over, drawn from the treasury when it runs short, and given back when it lies unused.

A limit that cannot be looked up, since the treasury is gone, lets requests through; a budget does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from modelhall.core.errors import NotNow
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.treasury import Treasury
from modelhall.policy.pots import Limit
from modelhall.policy.purse import Purse

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class Want(NamedTuple):
    """As much a request may use of a limit."""

    limit: Limit
    amount: int


class Taken(NamedTuple):
    """What is reserved for a request."""

    purse: Purse
    amount: int


class Short(Exception):
    """There is not as much as a request wants."""

    def __init__(self, purse: Purse, amount: int) -> None:
        super().__init__(purse.limit.pot.name)
        self.purse = purse
        self.amount = amount


class Purses:
    """One for each pot that was asked for lately."""

    def __init__(self, treasury: Treasury, holder: str, clock: Clock) -> None:
        """`holder` is the name under which this gateway draws, and no other one ever does."""
        self._treasury = treasury
        self._holder = holder
        self._clock = clock
        self._by_pot: dict[str, Purse] = {}
        self._drawing: dict[str, asyncio.Lock] = {}
        self._draws: set[asyncio.Task[None]] = set()
        self.unchecked = 0
        """Requests that were let through since the treasury could not be reached."""

    async def take(self, wants: Sequence[Want]) -> list[Taken]:
        """Reserve all of it, or nothing. Raises Short, and NotNow when a budget cannot be looked up."""
        taken: list[Taken] = []
        now = self._clock.now()
        try:
            for limit, amount in wants:
                purse = self._purse(limit)
                if purse.take(amount, now) or await self._draw(purse, amount):
                    taken.append(Taken(purse, amount))
        except BaseException:
            for purse, amount in taken:
                purse.settle(amount, 0)
            raise
        return taken

    async def run(self) -> None:
        """Give back what lies unused, every now and then, until cancelled; then all that is left."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                await self.tidy(self._clock.now())
        finally:
            await asyncio.gather(*self._draws, return_exceptions=True)
            await self.tidy(float("inf"))

    async def tidy(self, now: float) -> None:
        """Give back what was not touched for a while."""
        for name, purse in list(self._by_pot.items()):
            if spare := purse.spare(now):
                await self._put_back(purse, spare)
            if purse.is_idle(now):
                del self._by_pot[name]
                self._drawing.pop(name, None)

    async def _put_back(self, purse: Purse, spare: int) -> None:
        pot, now = purse.limit.pot, self._clock.now()
        try:
            if spare > 0:
                await self._treasury.give_back(self._holder, pot, spare, now)
            else:
                await self._treasury.draw(self._holder, pot, -spare, now)
        except NotNow as error:
            purse.left += spare
            log.warning("treasury.gone pot=%s reason=%s", pot.name, error)

    def _purse(self, limit: Limit) -> Purse:
        purse = self._by_pot.get(limit.pot.name)
        if purse is not None and (purse.limit is limit or purse.limit.pot == limit.pot):
            purse.limit = limit
        else:
            kept, purse = purse, Purse(limit, self._clock.now())
            if kept is not None:  # a budget that was changed: what is in hand stays in hand
                purse.left, kept.left = kept.left, 0
            self._by_pot[limit.pot.name] = purse
            self._drawing.setdefault(limit.pot.name, asyncio.Lock())
        return purse

    async def _draw(self, purse: Purse, amount: int) -> bool:
        """Draw for a request that takes so much; whether it is reserved, or was let through. Raises Short."""
        now = self._clock.now()
        if not purse.may_draw(amount, now):
            raise Short(purse, amount)
        purse.waiting += amount
        try:
            async with self._drawing[purse.limit.pot.name]:
                if purse.take(amount, now):  # by what somebody who came before has drawn
                    return True
                await self._fill(purse, amount, now)
        except NotNow as error:
            log.warning("treasury.gone pot=%s reason=%s", purse.limit.pot.name, error)
            if purse.limit.is_budget:
                raise
            self.unchecked += 1
            return False
        finally:
            purse.waiting -= amount
        if not purse.take(amount, now):
            raise Short(purse, amount)
        return True

    async def _fill(self, purse: Purse, amount: int, now: float) -> None:
        """Draw, also when whoever waits for it goes away meanwhile: what was drawn must not be lost."""

        async def draw() -> None:
            portion = await self._treasury.draw(self._holder, purse.limit.pot, purse.wanted, now)
            purse.drawn(portion, amount, now)

        drawing = asyncio.get_running_loop().create_task(draw())
        self._draws.add(drawing)
        drawing.add_done_callback(self._draws.discard)
        await asyncio.shield(drawing)
