"""The control plane put together: store, loop, launcher, meter and book behind one object that doors call."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.adapters.meter.cpu_time import CpuTimeMeter
from modelhall.adapters.source import source_for
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.app.clock import SystemClock
from modelhall.control import declare, runs
from modelhall.control.loop import Loop
from modelhall.core import plugins
from modelhall.core.errors import Broken, HallError, NotFound, NotNow, Rejected
from modelhall.core.kinds import Document, Key
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.book import By
from modelhall.ledger import bill, trace
from modelhall.ledger.keeper import Keeper
from modelhall.ledger.rates import Rates
from modelhall.ledger.reading import Reading, readings_of
from modelhall.settings import Settings
from modelhall.trust.tokens import Authenticator, authenticator_of, first_token

log = logging.getLogger(__name__)

STOP_GRACE_S = 8.0
RETRY_S = 1.0
SAMPLE = "modelhall.stages.sample"


class Hall:
    """One hall: its store, its loop, its ledger. Everything a door can ask for is a method here."""

    def __init__(self, settings: Settings) -> None:
        """Open the hall in `settings.home`, making it if need be."""
        home = settings.home
        for folder in ("blobs", "cache", "runs", "usage"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.clock = SystemClock()
        self.token = first_token(home)
        self.authenticate: Authenticator = authenticator_of(home)
        self.store = SqliteStore(home / "hall.db")
        self.launcher = ProcessLauncher(
            home / "runs", blobs=settings.blobs, cache=home / "cache", environment=settings.environment
        )
        self.addresses = {"address": "", "gateway": ""}
        self._book = open_book(home)
        self._keeper = Keeper(
            book=self._book,
            journals=home / "usage",
            meter=CpuTimeMeter(busy_w=settings.busy_w, idle_w=settings.idle_w),
            rates=_rates(settings),
        )
        self._policy = plugins.load("schedule", settings.schedule, field="schedule").place
        self._changed = asyncio.Event()
        self._started = self.clock.monotonic()

    async def drive(self) -> None:
        """Make the declared true, for ever. When the store or the launcher fails, start anew from the store."""
        while True:
            loop = self._new_loop()
            try:
                while True:
                    await self._pause(await loop.step())
            except (HallError, OSError) as error:
                log.error("loop.failed reason=%s", error)
                await self._pause(RETRY_S)

    async def keep_books(self) -> None:
        """Enter what was used, every few seconds, for ever."""
        while True:
            try:
                await self._settle(fully=False)
            except (HallError, OSError) as error:
                log.error("ledger.failed reason=%s", error)
            await asyncio.sleep(self.settings.settle_s)

    async def stop_runs(self) -> None:
        """End every attempt, and come back when all have ended. What was running goes on after the next start."""
        active = [run for run in await self.store.all("run") if run.status.state in ACTIVE]
        ids = [runs.attempt_id(run) for run in active]
        for id in ids:
            await self.launcher.stop(id, STOP_GRACE_S)
        deadline = self.clock.monotonic() + STOP_GRACE_S + 2
        while ids and self.clock.monotonic() < deadline:
            seen = await self.launcher.observe(ids)
            ids = [id for id in ids if seen[id].alive]
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._settle(fully=True)
        await self._book.close()
        await self.store.close()

    async def apply(self, documents: Sequence[Document], *, dry_run: bool = False) -> list[declare.Outcome]:
        """Declare documents, all or none; raises `declare.Refusal`."""
        outcomes = await declare.apply(
            self.store,
            documents,
            fingerprint=fingerprint,
            new_uid=_new_uid,
            now=self.clock.now(),
            dry_run=dry_run,
        )
        self._changed.set()
        return outcomes

    async def delete(self, key: Key) -> None:
        """Have a resource removed; raises NotFound or Conflict."""
        await declare.delete(self.store, key, self.clock.now())
        self._changed.set()

    async def cancel(self, key: Key) -> None:
        """Have a run stop; raises NotFound."""
        await declare.cancel(self.store, key, self.clock.now())
        self._changed.set()

    async def rows(self, key: Key, split: str, limit: int) -> list[dict[str, Any]]:
        """The first rows of a split of a data set's current version; raises NotFound, or NotNow before there is
        one."""
        dataset = await self.store.get(key)
        if dataset is None:
            raise NotFound(f"no {key}")
        version = dataset.status.current
        if version is None:
            raise NotNow(f"{key} has no version yet: {dataset.status.reason}", delay_s=5)
        # Another process, since what reads the rows is never loaded into this one.
        reading = await asyncio.create_subprocess_exec(
            sys.executable, "-m", SAMPLE, self.settings.blobs, version.artifact, split, str(limit),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            env=self.settings.environment,
        )  # fmt: skip
        text, _ = await reading.communicate()
        if reading.returncode != 0:
            raise Broken(f"the rows of {key} cannot be read (exit code {reading.returncode})")
        answer = json.loads(text)
        if "problem" in answer:
            raise NotFound(answer["problem"]["message"], field=answer["problem"]["field"])
        return list(answer["rows"])

    async def bill(self, by: str, project: str | None) -> dict[str, Any]:
        """What was used up to now, summed by one dimension, with the total."""
        if by not in get_args(By):
            raise Rejected(f"a bill is by {', '.join(get_args(By))}, not by {by!r}", field="by")
        await self._settle(fully=True)
        lines = await bill.bill(self._book, by, project=project)  # type: ignore[arg-type]
        whole = await bill.bill(self._book, "node", project=project)
        total = bill.add("total", whole)
        return {
            "by": by,
            "currency": self.settings.currency,
            "lines": [asdict(line) for line in lines],
            "total": asdict(total),
        }

    async def trace(self, request: str) -> dict[str, Any]:
        """From an answer back to its data; raises NotFound."""
        await self._settle(fully=True)
        found = await trace.trace(request, book=self._book, get=self.store.get)
        return {"currency": self.settings.currency, **found.model_dump(mode="json")}

    async def status(self) -> dict[str, Any]:
        """What the hall is doing, in a few figures."""
        found = await self.store.all("run")
        return {
            **self.addresses,
            "home": str(self.settings.home),
            "up_s": self.clock.monotonic() - self._started,
            "runs": len(found),
            "active": sum(run.status.state in ACTIVE for run in found),
            "waiting": sum(run.status.state in ("waiting", "queued") for run in found),
        }

    def _new_loop(self) -> Loop:
        return Loop(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            new_uid=_new_uid,
            fingerprint=fingerprint,
            policy=self._policy,
        )

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until somebody changed something."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()

    async def _settle(self, *, fully: bool) -> None:
        await self._keeper.settle(await self._readings(), self.clock.now(), fully=fully)

    async def _readings(self) -> list[Reading]:
        found = await self.store.all("run")
        ids = [runs.attempt_id(run) for run in found if run.status.state in ACTIVE]
        seen = await self.launcher.observe(ids)
        now = self.clock.now()
        return [reading for run in found for reading in readings_of(run, seen, now)]


async def fingerprint(url: str) -> str:
    """A word that changes with the content of a source; raises Rejected when there is none."""
    return await asyncio.to_thread(lambda: source_for(url).fingerprint(url))


def _rates(settings: Settings) -> Rates:
    return Rates(**{name: getattr(settings, name) for name in Rates.model_fields})


def _new_uid() -> str:
    return secrets.token_hex(8)
