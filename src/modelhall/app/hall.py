"""The control plane put together: store, loop, launcher, meter and book behind one object that doors call."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from modelhall.adapters.history.sqlite import open_history
from modelhall.adapters.launcher.process import NODE
from modelhall.adapters.store import open_store
from modelhall.adapters.traffic.folder import FolderTraffic
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.app.accounts import Accounts
from modelhall.app.allowances import Allowances
from modelhall.app.audit.auditing import open_auditing
from modelhall.app.cards import Cards
from modelhall.app.clock import SystemClock
from modelhall.app.defence import Guarding
from modelhall.app.doctor import examine
from modelhall.app.doctor.gathering import gather
from modelhall.app.erasing import Erasing
from modelhall.app.feed import Feed
from modelhall.app.foresight import Foresight
from modelhall.app.home import TRAFFIC, lay_out
from modelhall.app.keys import Keys, Rotated
from modelhall.app.launching import open_launchers
from modelhall.app.looking import Looking
from modelhall.app.monitoring.alarms import open_alarms
from modelhall.app.monitoring.asked import Past
from modelhall.app.monitoring.handing_on import HandingOn, open_collector
from modelhall.app.monitoring.instruments import Instruments, sensors_of_this_machine
from modelhall.app.monitoring.machines import Machines
from modelhall.app.monitoring.watching import Seen, Watching
from modelhall.app.node_files import NodeFiles
from modelhall.app.nodes import Nodes
from modelhall.app.people import People
from modelhall.app.power import power_models
from modelhall.app.queueing import Queueing
from modelhall.app.reader import Reader
from modelhall.app.rollouts import Rollouts
from modelhall.app.signing_in import open_signing_in
from modelhall.app.sources import fingerprint_by
from modelhall.control import declare, runs
from modelhall.control.declare import Outcome
from modelhall.control.idempotency import Once, Written, unheard
from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.control.plane import Plane
from modelhall.core.access import Identity
from modelhall.core.failpoints import reach
from modelhall.core.follower import Follower
from modelhall.core.kinds import Document, Key
from modelhall.core.kinds.run import ACTIVE, RunResource
from modelhall.core.unpacking import sweep_all
from modelhall.settings import Settings
from modelhall.trust.directory import Directory
from modelhall.trust.permissions import may_look
from modelhall.trust.signing import KeyFolder
from modelhall.trust.tokens import first_token, key_for, read_key

log = logging.getLogger(__name__)

STOP_GRACE_S = 8.0


class Hall:
    """One hall: its store, its loop, its ledger. Everything a door can ask for is a method here."""

    def __init__(self, settings: Settings) -> None:
        """Open the hall in `settings.home`, making it if need be."""
        home = settings.home
        lay_out(home)
        self.settings = settings
        self.clock = SystemClock()
        self.token = first_token(home)
        self.directory = Directory.of(home, self.clock.now)
        self.store = open_store(settings.store_url)
        self.feed = Feed(self.store)
        self.follower = Follower(self.store, self.directory)
        self.people = People(self.store, read_key(home), self.clock, _new_uid)
        sweep_all(home / "cache")
        self.keys = Keys(settings, self.clock.now)
        self.secrets = self.keys.secrets
        reader = Reader(settings, self.keys.ring.keys_of)
        self.looking = Looking(self.store, reader)
        self.erasing = Erasing(
            self.store, self.looking, self.secrets, key_for("erasures", read_key(home)), self.clock
        )
        self.auditing = open_auditing(home, self.clock)
        self.guarding = Guarding(settings, self.clock, self.people, self.auditing)
        self.signing_in = open_signing_in(
            settings,
            store=self.store,
            directory=self.directory,
            catch_up=self.follower.catch_up,
            people=self.people,
            secrets=self.secrets,
            gate=self.guarding.gate,
            auditing=self.auditing,
            clock=self.clock,
            new_uid=_new_uid,
        )
        self._signing = KeyFolder(home / "keys")
        self.nodes = Nodes(self.store, read_key(home), self.clock, _new_uid)
        self.node_files = NodeFiles(home, self.keys.blobs, self.keys.ring.keys_of)
        self.addresses = {"address": "", "gateway": ""}
        self.agents, self.launcher, self.reports = open_launchers(
            settings,
            self.keys,
            self._signing,
            clock=self.clock,
            nodes=self.nodes,
            address=lambda: self.addresses["address"],
            catch_up=self.follower.catch_up,
        )
        self._fingerprint = fingerprint_by(settings.source_rules, self.secrets)
        self.allowances = Allowances(self.store, open_treasury(home), self.clock.now)
        models = power_models(settings)
        self.history = open_history(home, size_bytes=settings.history_bytes)
        self.past = Past(self.history)
        self.alarms = open_alarms(settings, self.clock, _new_uid, lambda: self.addresses["address"])
        self._handing_on = HandingOn(open_collector(settings.metrics, self.clock.now()), self.clock.now)
        self.watching = Watching(
            machines=Machines(NODE, Instruments(sensors_of_this_machine(home)), models, self.clock),
            store=self.store,
            launcher=self.launcher,
            history=self.history,
            clock=self.clock,
            unknown_tokens=lambda: self.guarding.watchman.unknown,
            spent=self.allowances.spent,
            each=self._heed,
        )
        self.accounts = Accounts(
            settings, self.store, self.launcher, self.clock, models, self.watching, self.keys.stored
        )
        self.cards = Cards(self.store, reader, self.accounts)
        self.foresight = Foresight(self.store, self.accounts)
        self.queueing = Queueing(settings, self.store, self.clock)
        self.traffic = FolderTraffic(home / TRAFFIC, self.clock.now())
        self.rollouts = Rollouts(self.store, self.traffic, self.clock)
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

    async def _heed(self, seen: Seen) -> None:
        """What follows from a look."""
        await self.alarms.look(seen)
        self._handing_on.hand_on(seen)

    async def examined(self) -> list[dict[str, str]]:
        """What the doctor finds."""
        seen = self.watching.seen
        return examine(await gather(self.settings, self.store, self.history, seen, self.clock.now()))

    async def stop_runs(self) -> None:
        """End every attempt on this machine, and come back when all have ended. What was running goes on after the
        next start; what runs on other nodes goes on meanwhile."""
        alive = await self.store.find("run", resting=False)
        active = [run for run in alive if run.status.state in ACTIVE]
        ids = [id for run in active if (id := runs.attempt_id(run)).node == NODE]
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
            stack.push_async_callback(self.auditing.close)
            stack.callback(sweep_all, self.settings.home / "cache")
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self.accounts.close)
            stack.push_async_callback(self.allowances.close)
            stack.push_async_callback(self.history.close)
            stack.push_async_callback(self._handing_on.close)
            stack.push_async_callback(self.plane.release)
            if self.leads:
                await self.accounts.settle(fully=True)

    async def apply(
        self,
        documents: Sequence[Document],
        *,
        dry_run: bool = False,
        once: Once | None = None,
        written: Written = unheard,
    ) -> list[Outcome]:
        """Declare documents, all or none; raises `declare.Refusal`."""
        return await declare.apply(
            self.store,
            documents,
            fingerprint=self._fingerprint,
            new_uid=_new_uid,
            now=self.clock.now(),
            dry_run=dry_run,
            once=once,
            written=written,
        )

    async def delete(
        self, key: Key, *, once: Once | None = None, written: Written = unheard
    ) -> list[Outcome]:
        """Have a resource removed; raises NotFound or Conflict."""
        users = await self.plane.users_of(key)
        now = self.clock.now()
        return await declare.delete(self.store, key, users=users, now=now, once=once, written=written)

    async def cancel(
        self, key: Key, *, once: Once | None = None, written: Written = unheard
    ) -> list[Outcome]:
        """Have a run stop; raises NotFound."""
        return await declare.cancel(self.store, key, now=self.clock.now(), once=once, written=written)

    async def resume(
        self, key: Key, *, once: Once | None = None, written: Written = unheard
    ) -> list[Outcome]:
        """Have a run that was cancelled go on; raises NotFound or Conflict."""
        return await declare.resume(self.store, key, now=self.clock.now(), once=once, written=written)

    async def rotate_key(self, project: str) -> Rotated:
        """Have a project's objects be sealed with a new key; the older ones are forgotten, unless programs that were
        handed them are at work still. Raises NotFound, NotNow."""
        done = await asyncio.to_thread(self.keys.renew, project)
        alive = await self.store.find("run", resting=False)
        if any(run.key.project == project and _may_seal(run) for run in alive):
            return done
        return done.model_copy(update={"forgotten": await asyncio.to_thread(self.keys.retire, project)})

    async def status(self, who: Identity) -> dict[str, Any]:
        """What the hall is doing, in a few figures, as far as somebody may see it."""
        alive = [run for run in await self.store.find("run", resting=False) if may_look(who, run.key)]
        home = {"home": str(self.settings.home)} if "operate" in who.everywhere else {}
        return {
            **self.addresses,
            **home,
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
            fingerprint=self._fingerprint,
            policy=self.queueing.policy,
            epoch=epoch,
            keys=self._signing if self.settings.sign else None,
            traffic=self.traffic,
        )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """What is read within stays: the collector would only go through it again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _may_seal(run: RunResource) -> bool:
    """Whether a run is at work that was handed keys to seal what it makes."""
    stage = run.document.stage
    return run.status.state in ACTIVE and stage is not None and stage.program != "serve"


def _new_uid() -> str:
    return secrets.token_hex(8)
