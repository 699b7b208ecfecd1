"""A few at a time: work that is heavy, and that strangers can ask for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from modelhall.core.errors import TooMany


class Turns:
    """So many at once, and so many more who wait; whoever comes then is told to come again."""

    def __init__(self, at_once: int, waiting: int, *, delay_s: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most = at_once + waiting
        self._here = 0
        self._delay_s = delay_s

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place and keep it; raises TooMany when too many wait."""
        if self._here >= self._most:
            raise TooMany(f"{self._here} others are signing in just now; try again", delay_s=self._delay_s)
        self._here += 1
        try:
            async with self._places:
                yield
        finally:
            self._here -= 1
