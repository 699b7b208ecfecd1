"""The control plane put together: store, loop, launcher, meter and book behind one object that doors call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, get_args

from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.adapters.meter.cpu_time import CpuTimeMeter
from modelhall.adapters.secrets.folder import FolderSecrets
from modelhall.adapters.source import source_for
from modelhall.adapters.store import open_store
from modelhall.app.clock import SystemClock
from modelhall.app.feed import Feed
from modelhall.app.home import lay_out
from modelhall.control import declare, runs
from modelhall.control.declare import Outcome
from modelhall.control.idempotency import Once
from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.control.plane import Plane
from modelhall.core import plugins
from modelhall.core.errors import Broken, HallError, NotFound, NotNow, Rejected
from modelhall.core.failpoints import reach
from modelhall.core.kinds import Document, Key
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.book import By
from modelhall.core.ports.signature import SIGNING_KEY
from modelhall.ledger import bill, trace
from modelhall.ledger.following import Following
from modelhall.ledger.keeper import Keeper
from modelhall.ledger.rates import Rates
from modelhall.ledger.reading import readings_of
from modelhall.settings import Settings
from modelhall.trust.signing import KeyFolder
from modelhall.trust.tokens import Authenticator, authenticator_of, first_token

log = logging.getLogger(__name__)

STOP_GRACE_S = 8.0
SAMPLE = "modelhall.stages.sample"


class Hall:
    """One hall: its store, its loop, its ledger. Everything a door can ask for is a method here."""

    def __init__(self, settings: Settings) -> None:
        """Open the hall in `settings.home`, making it if need be."""
        home = settings.home
        lay_out(home)
        self.settings = settings
        self.clock = SystemClock()
        self.token = first_token(home)
        self.authenticate: Authenticator = authenticator_of(home)
        self.store = open_store(settings.store_url)
        self.feed = Feed(self.store)
        self.secrets = FolderSecrets(home / "secrets")
        self._signing = KeyFolder(home / "keys")
        self.launcher = ProcessLauncher(
            home / "runs",
            blobs=settings.blobs,
            cache=home / "cache",
            environment=settings.environment,
            secrets=self.secrets,
            hall_secrets={SIGNING_KEY: self._signing.private},
            failpoints=settings.failpoints,
        )
        self.addresses = {"address": "", "gateway": ""}
        self._book = open_book(home)
        self._keeper = Keeper(
            book=self._book,
            journals=home / "usage",
            meter=CpuTimeMeter(busy_w=settings.busy_w, idle_w=settings.idle_w),
            rates=_rates(settings),
        )
        self._settling = asyncio.Lock()
        self._following = Following(self.store, self._book)
        self._policy = plugins.load("schedule", settings.schedule, field="schedule").place
        self.plane = Plane(
            store=self.store,
            launcher=self.launcher,
            leadership=Leadership(
                self.store, self.clock, f"{os.getpid()}-{_new_uid()}", alone=settings.is_alone
            ),
            new_loop=self._new_loop,
            pause=asyncio.sleep,
            loading=_uncollected,
        )
        self._started = self.clock.monotonic()
        reach("hall.opened")

    @property
    def leads(self) -> bool:
        """Whether this control plane is the one that acts."""
        return self.plane.epoch is not None

    async def keep_books(self) -> None:
        """While leading, enter what was used, every few seconds; for ever."""
        while True:
            try:
                if self.leads:
                    await self._settle(fully=False)
            except (HallError, OSError) as error:
                log.error("ledger.failed reason=%s", error)
            await asyncio.sleep(self.settings.settle_s)

    async def stop_runs(self) -> None:
        """End every attempt, and come back when all have ended. What was running goes on after the next start."""
        alive = await self.store.find("run", resting=False)
        active = [run for run in alive if run.status.state in ACTIVE]
        ids = [runs.attempt_id(run) for run in active]
        for id in ids:
            await self.launcher.stop(id, STOP_GRACE_S)
        deadline = self.clock.monotonic() + STOP_GRACE_S + 2
        while ids and self.clock.monotonic() < deadline:
            seen = await self.launcher.observe(ids)
            ids = [id for id in ids if seen[id].alive]
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Enter what is still to be entered, let others lead, and close what is open, whatever fails on the way."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self._book.close)
            stack.push_async_callback(self.plane.release)
            if self.leads:
                await self._settle(fully=True)

    async def apply(
        self, documents: Sequence[Document], *, dry_run: bool = False, once: Once | None = None
    ) -> list[Outcome]:
        """Declare documents, all or none; raises `declare.Refusal`."""
        return await declare.apply(
            self.store,
            documents,
            fingerprint=fingerprint,
            new_uid=_new_uid,
            now=self.clock.now(),
            dry_run=dry_run,
            once=once,
        )

    async def delete(self, key: Key, *, once: Once | None = None) -> list[Outcome]:
        """Have a resource removed; raises NotFound or Conflict."""
        users = await self.plane.users_of(key)
        return await declare.delete(self.store, key, users=users, now=self.clock.now(), once=once)

    async def cancel(self, key: Key, *, once: Once | None = None) -> list[Outcome]:
        """Have a run stop; raises NotFound."""
        return await declare.cancel(self.store, key, now=self.clock.now(), once=once)

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
        alive = await self.store.find("run", resting=False)
        return {
            **self.addresses,
            "home": str(self.settings.home),
            "up_s": self.clock.monotonic() - self._started,
            "leads": self.leads,
            "epoch": self.plane.epoch,
            "revision": await self.store.revision(),
            "active": sum(run.status.state in ACTIVE for run in alive),
            "waiting": sum(run.status.state in ("waiting", "queued") for run in alive),
        }

    def _new_loop(self, epoch: int) -> Loop:
        return Loop(
            store=self.store,
            launcher=self.launcher,
            clock=self.clock,
            new_uid=_new_uid,
            fingerprint=fingerprint,
            policy=self._policy,
            epoch=epoch,
            keys=self._signing if self.settings.sign else None,
        )

    async def _settle(self, *, fully: bool) -> None:
        async with self._settling:
            found = await self._following.runs()
            ids = [runs.attempt_id(run) for run in found if run.status.state in ACTIVE]
            seen = await self.launcher.observe(ids)
            now = self.clock.now()
            readings = [reading for run in found for reading in readings_of(run, seen, now)]
            await self._keeper.settle(readings, now, fully=fully)
            await self._following.paid(self._keeper.is_paid)


async def fingerprint(url: str) -> str:
    """A word that changes with the content of a source; raises Rejected when there is none."""
    return await asyncio.to_thread(lambda: source_for(url).fingerprint(url))


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What is read within stays: the collector would only go through it again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _rates(settings: Settings) -> Rates:
    return Rates(**{name: getattr(settings, name) for name in Rates.model_fields})


def _new_uid() -> str:
    return secrets.token_hex(8)
