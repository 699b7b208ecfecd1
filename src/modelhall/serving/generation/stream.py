"""What a worker tells of one request's texts, on the event loop of whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from modelhall.core.errors import HallError
from modelhall.serving.engines import Token
from modelhall.serving.generation.worker import Wanted, Worker


class Stream:
    """One request's texts as they come; `close` lets go of those that are not over."""

    def __init__(self, worker: Worker, wanted: Sequence[Wanted]) -> None:
        """Raises NotNow when too many wait already."""
        self.compute_s = 0.0
        """Processor seconds that were spent on it so far."""
        self._loop = asyncio.get_running_loop()
        self._told: list[tuple[int, Token | HallError]] = []
        self._come = asyncio.Event()
        self._worker = worker
        self._keys = worker.submit(wanted, self._tell)

    async def more(self, within_s: float) -> list[tuple[int, Token]]:
        """What has come since, at least one token, each with the place of its text; empty when nothing came in time.
        Raises what the engine says, or Broken when it failed."""
        if not self._told:
            try:
                async with asyncio.timeout(within_s):
                    await self._come.wait()
            except TimeoutError:
                return []
        self._come.clear()
        told, self._told = self._told, []
        for _, token in told:
            if isinstance(token, HallError):
                raise token
        return [(place, token) for place, token in told if not isinstance(token, HallError)]

    def end(self, place: int) -> None:
        """One of the texts is wanted no further."""
        self._worker.cancel([self._keys[place]])

    def close(self) -> None:
        self._worker.cancel(self._keys)

    def _tell(self, place: int, token: Token | HallError, compute_s: float) -> None:
        self._loop.call_soon_threadsafe(self._take, place, token, compute_s)

    def _take(self, place: int, token: Token | HallError, compute_s: float) -> None:
        self.compute_s += compute_s
        self._told.append((place, token))
        self._come.set()
