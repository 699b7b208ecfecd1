"""What the sensors of an agent's machine say, read every few seconds beside the beats and told once each time."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from modelhall.app.monitoring.instruments import Instruments
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.sensor import Figure


class Sensed(NamedTuple):
    figures: tuple[Figure, ...]
    read_at: float
    """By the machine's clock that nobody sets."""


NOTHING = Sensed((), 0.0)


class Sensing:
    """The machine's instruments at work."""

    def __init__(self, instruments: Instruments, clock: Clock, every_s: float) -> None:
        self._instruments = instruments
        self._clock = clock
        self._every_s = every_s
        self._newest = NOTHING

    async def run(self) -> None:
        """Read them again and again, for ever."""
        while True:
            await self.read()
            await asyncio.sleep(self._every_s)

    async def read(self) -> None:
        """Read them once."""
        figures = tuple(await self._instruments.read())
        self._newest = Sensed(figures, self._clock.monotonic())

    def take(self) -> Sensed:
        """What was read and not yet taken. Should the beat that tells it get lost, there is more soon."""
        newest, self._newest = self._newest, NOTHING
        return newest
