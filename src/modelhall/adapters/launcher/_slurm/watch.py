"""What Slurm says, asked again and again in the background, so that nobody waits for a Slurm that does not answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from modelhall.core.errors import HallError

AWAY_AFTER_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    asked_at: float
    """By the monotonic clock: what happened later, it does not tell."""
    what: T


class Watch(Generic[T]):
    """One question."""

    def __init__(
        self, ask: Callable[[], T], *, every_s: float, waits_s: float, monotonic: Callable[[], float]
    ) -> None:
        """`ask` is called in a thread, and raises HallError when there is no answer. One that comes within `waits_s`
        is waited for by who looks."""
        self._ask = ask
        self._every_s = every_s
        self._waits_s = waits_s
        self._monotonic = monotonic
        self._asked_at = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self.answer: Answer[T] | None = None
        """The newest there is."""
        self.trouble = "it has not been asked yet"
        """Why there is no newer answer."""

    @property
    def is_away(self) -> bool:
        """Whether there has been no answer for so long that there may be none for long."""
        return self.answer is None or self._monotonic() - self.answer.asked_at > AWAY_AFTER_S

    async def look(self) -> Answer[T] | None:
        """The newest answer, asking for another when it is time."""
        now = self._monotonic()
        is_asking = self._asking is not None and not self._asking.done()
        if not is_asking and now - self._asked_at >= self._every_s:
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask_now(now))
        left_s = self._asked_at + self._waits_s - now
        if self._asking is not None and left_s > 0:
            await asyncio.wait({self._asking}, timeout=left_s)
        return self.answer

    async def _ask_now(self, now: float) -> None:
        try:
            self.answer = Answer(now, await asyncio.to_thread(self._ask))
        except HallError as error:
            self.trouble = error.message
