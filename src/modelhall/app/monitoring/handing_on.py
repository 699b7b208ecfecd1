"""What was seen goes on to a collector, which never delays a look: while it is slow, looks pass it by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from modelhall.app.monitoring.watching import Seen
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.figures import Collector, Family
from modelhall.monitoring.exposition import families

log = logging.getLogger(__name__)


class HandingOn:
    """To one collector, if there is any."""

    def __init__(self, collector: Collector | None, now: Callable[[], float]) -> None:
        self._collector = collector
        self._now = now
        self._going: asyncio.Task[None] | None = None

    def hand_on(self, seen: Seen) -> None:
        """Begin to tell what was seen, unless what was seen before is still being told."""
        if self._collector is None or (self._going is not None and not self._going.done()):
            return
        self._going = asyncio.create_task(self._tell(self._collector, list(families(seen)), self._now()))

    async def close(self) -> None:
        """Come back when nothing is being told any more."""
        if self._going is not None:
            await self._going

    async def _tell(self, collector: Collector, found: list[Family], at: float) -> None:
        try:
            await asyncio.to_thread(collector.hand_on, found, at)
        except NotNow as error:
            log.warning("figures.untold reason=%s", error)


def open_collector(url: str, now: float) -> Collector | None:
    """Where figures go, if anywhere; raises Rejected when what it takes is not installed."""
    if not url:
        return None
    try:
        # Imported here because few halls hand on figures, and it takes memory.
        from modelhall.adapters.figures.otlp import open_figures
    except ImportError as error:
        raise Rejected(
            f"handing on figures needs a package that is not there ({error}); pip install 'modelhall[traces]'",
            field="metrics",
        ) from None
    return open_figures(url, since=now)
