"""The hall's ledger at work: what was used is entered every few seconds, and told as a bill or as a trace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any, get_args

from modelhall.adapters.book.sqlite import open_book
from modelhall.app.monitoring.watching import Watching
from modelhall.control import runs
from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.names import split_reference
from modelhall.core.ports.book import By, Total
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import Launcher
from modelhall.core.ports.meter import Meter, Use
from modelhall.core.ports.store import Store
from modelhall.core.tariff import zone
from modelhall.ledger import bill, storage, trace
from modelhall.ledger.following import Following
from modelhall.ledger.keeper import Keeper
from modelhall.ledger.rates import Prices, Rates, Share, price
from modelhall.ledger.reading import readings_of
from modelhall.ledger.tariffs import Tariffs, read_carbon
from modelhall.settings import Settings

log = logging.getLogger(__name__)


class Accounts:
    """The book of one hall, and the keeper of it."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        launcher: Launcher,
        clock: Clock,
        meter: Meter,
        watching: Watching,
        stored: Callable[[], Mapping[str, int]],
    ) -> None:
        """`stored` tells what each project's blobs take, in bytes; it is called in a thread."""
        self._settings = settings
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._book = open_book(settings.home)
        self._meter = meter
        self._prices = prices_of(settings)
        self._keeper = Keeper(
            book=self._book,
            journals=settings.home / "usage",
            meter=meter,
            prices=self._prices,
            heard=watching.hear,
        )
        self._watching = watching
        self._stored = stored
        self._models: dict[str, str] = {}
        self._settling = asyncio.Lock()
        self._storage_due_at = float("-inf")
        """When to look again until when keeping is paid for."""
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
            await self._look_up_models()
            ids = [runs.attempt_id(run) for run in found if run.status.state in ACTIVE]
            seen = await self._launcher.observe(ids)
            now = self._clock.now()
            of_nodes = {node.key.name: node.status.gpu_type for node in await self._store.find("node")}
            readings = [
                reading for run in found for reading in readings_of(run, seen, now, self._models, of_nodes)
            ]
            nodes = await self._watching.machines.readings()
            await self._keeper.settle(readings, now, nodes=nodes, fully=fully)
            await self._following.paid(self._keeper.is_paid)
            await self._settle_storage(nodes[0].node, now)

    async def _settle_storage(self, node: str, now: float) -> None:
        if now < self._storage_due_at:
            return
        until = (await self._book.marks([storage.UNTIL])).get(storage.UNTIL)
        if until is not None and not storage.is_due(until, now):
            self._storage_due_at = until + storage.EVERY_S
            return
        per_gb_month = self._settings.price_per_gb_month
        # Keeping is paid for from the first look on; while it has no price, nobody looks how much it is.
        sizes = await asyncio.to_thread(self._stored) if until is not None and per_gb_month else {}
        since = now if until is None else until
        paid = storage.entries(sizes, node=node, since=since, now=now, price_per_gb_month=per_gb_month)
        await self._book.append(entries=paid, marks={storage.UNTIL: now})
        self._storage_due_at = now + storage.EVERY_S

    async def bill(
        self,
        by: str,
        project: str | None,
        since: float | None = None,
        until: float | None = None,
        *,
        settled: bool = True,
    ) -> dict[str, Any]:
        """What was used up to now, summed by one dimension, with the total; of the time between two instants if they
        are given. Unless it is to be `settled`, up to the last entry, which is some seconds ago and costs less."""
        if by not in get_args(By):
            raise Rejected(f"a bill is by {', '.join(get_args(By))}, not by {by!r}", field="by")
        if settled:
            await self.settle(fully=True)
        of: dict[str, Any] = {"project": project, "since": since, "until": until}
        lines = await bill.bill(self._book, by, **of)  # type: ignore[arg-type]
        whole = await bill.bill(self._book, "node", **of)
        total = bill.add("total", whole)
        return {
            "by": by,
            "since": since,
            "until": until,
            "currency": self.currency,
            "lines": [asdict(line) for line in lines],
            "total": asdict(total),
        }

    async def cost(self, name: str, paths: Collection[str]) -> dict[str, Any]:
        """What the runs with these paths cost together until now, called `name`."""
        await self.settle(fully=True)
        return {"currency": self.currency, **asdict(await self.entered(name, paths))}

    async def entered(self, name: str, paths: Collection[str]) -> Total:
        """The same as far as it is in the book."""
        return await bill.cost_of(self._book, name, paths)

    def of_holding(self, cpus: float, gpus: float, gpu_type: str, span_s: float) -> Total:
        """What processors and GPUs will cost from now on that are held and do nothing."""
        now = self._clock.now()
        energy = self._meter.energy(Use(node="", cpu_s=0.0, span_s=span_s, cpus=cpus))
        rates = self._prices.over(now, now + span_s)
        gpu_s = gpus * span_s
        (cost,) = price([Share(0.0, energy.energy_j, rates, gpu_s=gpu_s, gpu_type=gpu_type)])
        return Total(
            name="held", gpu_s=gpu_s, energy_j=energy.energy_j, co2_g=cost.co2_g, cost_nano=cost.cost_nano
        )

    @property
    def currency(self) -> str:
        return self._settings.currency

    async def trace(self, request: str, may_see: Callable[[str], bool]) -> dict[str, Any]:
        """From an answer back to its data; raises NotFound, also when its project may not be seen."""
        await self.settle(fully=True)
        found = await trace.trace(request, book=self._book, get=self._store.get, may_see=may_see)
        return {"currency": self.currency, **found.model_dump(mode="json")}

    async def close(self) -> None:
        await self._book.close()

    async def _look_up_models(self) -> None:
        """Know which model each service is of; a service that is gone is known as it was."""
        for service in await self._store.find("service"):
            name, _ = split_reference(service.document.model)
            self._models[service.key.path] = Key("model", service.key.project, name).path


def prices_of(settings: Settings) -> Prices:
    """What things cost in this hall, at any time. Raises Rejected when its file of carbon cannot be read."""
    rates = Rates(**{name: getattr(settings, name) for name in Rates.model_fields})
    tariffs = carbon = None
    if settings.tariffs:
        tariffs = Tariffs(settings.tariffs, zone(settings.timezone), otherwise=rates.price_per_kwh)
    if settings.carbon_file is not None:
        carbon = read_carbon(settings.carbon_file, otherwise=rates.co2_g_per_kwh)
    return Prices(rates, tariffs=tariffs, carbon=carbon)
