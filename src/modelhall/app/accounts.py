"""The hall's ledger at work: what was used is entered every few seconds, and told as a bill or as a trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any, get_args

from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.meter.cpu_time import CpuTimeMeter
from modelhall.control import runs
from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.book import By
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import Launcher
from modelhall.core.ports.store import Store
from modelhall.ledger import bill, trace
from modelhall.ledger.following import Following
from modelhall.ledger.keeper import Keeper
from modelhall.ledger.rates import Rates
from modelhall.ledger.reading import readings_of
from modelhall.settings import Settings

log = logging.getLogger(__name__)


class Accounts:
    """The book of one hall, and the keeper of it."""

    def __init__(self, settings: Settings, store: Store, launcher: Launcher, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._book = open_book(settings.home)
        self._keeper = Keeper(
            book=self._book,
            journals=settings.home / "usage",
            meter=CpuTimeMeter(busy_w=settings.busy_w, idle_w=settings.idle_w),
            rates=Rates(**{name: getattr(settings, name) for name in Rates.model_fields}),
        )
        self._settling = asyncio.Lock()
        self._following = Following(store, self._book)

    async def keep(self, leads: Callable[[], bool]) -> None:
        """While this control plane leads, enter what was used, every few seconds; for ever."""
        while True:
            try:
                if leads():
                    await self.settle(fully=False)
            except (HallError, OSError) as error:
                log.error("ledger.failed reason=%s", error)
            await asyncio.sleep(self._settings.settle_s)

    async def settle(self, *, fully: bool) -> None:
        """Enter what was used until now; `fully` also what is too little to be worth an entry yet."""
        async with self._settling:
            found = await self._following.runs()
            ids = [runs.attempt_id(run) for run in found if run.status.state in ACTIVE]
            seen = await self._launcher.observe(ids)
            now = self._clock.now()
            readings = [reading for run in found for reading in readings_of(run, seen, now)]
            await self._keeper.settle(readings, now, fully=fully)
            await self._following.paid(self._keeper.is_paid)

    async def bill(self, by: str, project: str | None) -> dict[str, Any]:
        """What was used up to now, summed by one dimension, with the total."""
        if by not in get_args(By):
            raise Rejected(f"a bill is by {', '.join(get_args(By))}, not by {by!r}", field="by")
        await self.settle(fully=True)
        lines = await bill.bill(self._book, by, project=project)  # type: ignore[arg-type]
        whole = await bill.bill(self._book, "node", project=project)
        total = bill.add("total", whole)
        return {
            "by": by,
            "currency": self._settings.currency,
            "lines": [asdict(line) for line in lines],
            "total": asdict(total),
        }

    async def cost(self, name: str, paths: Collection[str]) -> dict[str, Any]:
        """What the runs with these paths cost together until now, called `name`."""
        await self.settle(fully=True)
        total = await bill.cost_of(self._book, name, paths)
        return {"currency": self._settings.currency, **asdict(total)}

    async def trace(self, request: str, may_see: Callable[[str], bool]) -> dict[str, Any]:
        """From an answer back to its data; raises NotFound, also when its project may not be seen."""
        await self.settle(fully=True)
        found = await trace.trace(request, book=self._book, get=self._store.get, may_see=may_see)
        return {"currency": self._settings.currency, **found.model_dump(mode="json")}

    async def close(self) -> None:
        await self._book.close()
