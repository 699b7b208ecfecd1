"""The loop: compare what is declared with what is observed, and take the next action.

Level-triggered. The loop keeps nothing it could not read again: killed at any instant and started anew, it goes on
from the store and from what the launcher sees. Reconcilers decide; only the loop touches store and launcher. It
commits before it launches, so that a start is always on record, and a launcher starts an attempt once. What it writes
and launches carries its epoch, so that a loop that has been replaced without knowing it does nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from modelhall.control import datasets, models, nodes, queue, removal, runs, service_facts, services, shares
from modelhall.control.actions import (
    Action,
    Create,
    Forget,
    Note,
    Remove,
    Start,
    Stop,
    Update,
    Wake,
)
from modelhall.control.endings import Endings
from modelhall.control.traffic import Requests
from modelhall.control.view import View
from modelhall.control.wakeups import Wakeups
from modelhall.core.errors import Conflict, Stale
from modelhall.core.failpoints import reach
from modelhall.core.kinds import KINDS, AnyResource, Document, Key
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId, Launcher, Observation
from modelhall.core.ports.signature import SigningKeys
from modelhall.core.ports.store import Change, Delete, Event, Lead, Put, Store, Write
from modelhall.core.ports.traffic import Traffic
from modelhall.policy.deciding import Policy

log = logging.getLogger(__name__)

OBSERVE_EVERY_S = 0.2
NODES_EVERY_S = 2.0
SETTLED_PER_S = 100.0
"""How many resources a second are looked at only because the loop has begun anew."""
GRAIN_S = 0.05
"""Alarms ring up to so much late."""
CONFLICT_S = 0.5
"""When a resource somebody else has just written is looked at again, should the change itself not wake it."""
SLICE = 200
"""Most resources looked at in one step, so that whoever shares the processor with the loop gets a turn."""


class Loop:
    """Drives every resource towards its document. Call `step` whenever something may have changed."""

    def __init__(
        self,
        *,
        store: Store,
        launcher: Launcher,
        clock: Clock,
        new_uid: Callable[[], str],
        fingerprint: datasets.Fingerprint,
        policy: Policy,
        epoch: int,
        keys: SigningKeys | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        """`keys` are those that versions are signed with; None in a hall that does not sign. `traffic` is where
        gateways tell what they see; without it there is none."""
        self.view = View(store)
        self.epoch = epoch
        self.read_to: int | None = None
        """The revision until which the store has been followed; None before the first step."""
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._new_uid = new_uid
        self._fingerprint = fingerprint
        self._policy = policy
        self._keys = keys
        self._requests = Requests(traffic)
        self._wakeups = Wakeups()
        self._endings = Endings()
        self._seen: dict[AttemptId, Observation] = {}
        self._silent_s: dict[str, float] = {}
        self._observe_at = self._nodes_at = self._nodes_looked_at = clock.monotonic()
        self._queue_changed = True

    async def step(self) -> float:
        """Do what can be done now; return how many seconds later, at the latest, to call again.

        Raises Stale when another control plane has taken over, and Gone when the store's history was cut short:
        this loop is of no more use then.
        """
        await self.catch_up()
        await self._look_at_nodes()
        await self._look_at_attempts()
        await self._look_at_traffic()
        self._wakeups.ring(self._clock.monotonic())
        for _ in range(SLICE):
            if self._wakeups:
                await self._reconcile(self._wakeups.next())
            elif self._queue_changed:
                self._queue_changed = False
                await self._do(queue.schedule(self.view, self._policy, self._clock.now()))
            else:
                break
        return self._wait_s()

    async def catch_up(self) -> None:
        """Take in what has changed in the store."""
        if self.read_to is None:
            revision = await self.view.load()
            # Somebody who asks what there is may have loaded it in the meantime: what changed since either began
            # is read once more.
            self.read_to = revision if self.read_to is None else min(revision, self.read_to)
            reach("loop.loaded")
            self._begin()
        # What is committed here is read again all the same: others may have written just before.
        while changes := await self._store.changes(self.read_to):
            for change in changes:
                self._take_in(change)
            self.read_to = changes[-1].revision

    def _begin(self) -> None:
        """Look at everything: at once at what is on its way, and little by little at what is as declared."""
        settled = 0
        for key in self.view.all_keys():
            if self.view.is_settled(key):
                settled += 1
                self._wakeups.set_alarm(key, self._clock.monotonic() + settled / SETTLED_PER_S)
            else:
                self._wakeups.wake(key)

    def _wait_s(self) -> float:
        if self._queue_changed:
            return 0.0
        now = self._clock.monotonic()
        looks = [self._nodes_at, self._requests.at, *([] if self.view.is_idle else [self._observe_at])]
        alarm_s = self._wakeups.wait_s(now)
        # Alarms that are close together are worth one step.
        return max(0.0, min(min(looks) - now, max(GRAIN_S, alarm_s) if alarm_s else 0.0))

    def _take_in(self, change: Change) -> None:
        before, after = self.view.get(change.key), change.resource
        if not self.view.apply(change):
            return
        self._wakeups.wake(*self.view.concerned(change.key, before, after))
        if change.key.kind == "run":
            self._endings.hear(before, after)
            self._queue_changed |= queue.standing(before) != queue.standing(after)
        elif change.key.kind == "project":
            self._queue_changed = True
        elif change.key.kind == "node" and nodes.standing(before) != nodes.standing(after):
            self._queue_changed = True
            self._wakeups.wake(*(run.key for run in self.view.active(change.key.name)))

    async def _look_at_nodes(self) -> None:
        now = self._clock.monotonic()
        if now < self._nodes_at:
            return
        self._nodes_at = now + NODES_EVERY_S
        # While this process stood still, nobody could be heard, so that time is not held against any node; nor is
        # what was before this loop began.
        listened_s = min(now - self._nodes_looked_at, 2 * NODES_EVERY_S)
        self._nodes_looked_at = now
        reports = await self._launcher.nodes()
        there = {report.name for report in reports if report.ready}
        names = [node.key.name for node in self.view.of_kind("node")]
        self._silent_s = {
            name: 0.0 if name in there else self._silent_s.get(name, 0.0) + listened_s for name in names
        }
        # A node that has just been made is known by the second look.
        for heard in (self._endings.take(), {}):
            await self._do(nodes.reconcile(self.view, reports, self._silent_s, heard, self._clock.now()))
        await self._do(shares.reconcile(self.view, self._clock.now()))

    async def _look_at_attempts(self) -> None:
        """Ask the launcher about the active attempts; whoever's changed has to be looked at."""
        if self._clock.monotonic() < self._observe_at:
            return
        self._observe_at = self._clock.monotonic() + OBSERVE_EVERY_S
        active = {runs.attempt_id(run): run.key for run in self.view.active()}
        seen = await self._launcher.observe(list(active)) if active else {}
        self._wakeups.wake(*(key for id, key in active.items() if seen.get(id) != self._seen.get(id)))
        self._seen = seen

    async def _look_at_traffic(self) -> None:
        """Hear what gateways tell; a service by whose requests something is decided has to be looked at."""
        if self._requests.at <= self._clock.monotonic():
            changed = await self._requests.look(self._clock.monotonic())
            self._wakeups.wake(*(key for key in changed if self.view.get(key)))

    async def _reconcile(self, key: Key) -> None:
        """Take the next step for one resource. Whatever goes wrong with it does not hold up the others."""
        resource = self.view.get(key)
        if resource is None:
            self._wakeups.succeeded(key)
            return
        try:
            await self._do(await self._decide(resource))
        except Stale:
            raise
        except Exception:
            # A full disk, a store that is busy, or a bug of ours: all of them may be over at the next look.
            delay_s = self._wakeups.failed(key, self._clock.monotonic())
            log.exception("reconcile.failed resource=%s again_in_s=%g", key, delay_s)
        else:
            self._wakeups.succeeded(key)

    async def _decide(self, resource: AnyResource) -> list[Action]:
        now, kind = self._clock.now(), resource.key.kind
        if kind == "run":
            return runs.reconcile(resource, await runs.observe(resource, self.view, self._seen), now)
        if resource.deleting:
            return removal.reconcile(resource, await removal.observe(resource, self.view))
        match kind:
            case "dataset":
                seen = await datasets.observe(resource, self.view, self._fingerprint)
                return datasets.reconcile(resource, seen, now)
            case "model":
                known = await models.observe(resource, self.view, self._fingerprint, self._keys)
                return models.reconcile(resource, known, now)
            case "service":
                requests = self._requests.of(resource.key, now)
                facts = await service_facts.observe(resource, self.view, self._keys, requests)
                return services.reconcile(resource, facts, now)
        return []

    async def _do(self, actions: Sequence[Action]) -> None:
        """End what is to end; commit what is to be stored, all or nothing; then begin what is to begin."""
        # What ends an attempt comes first: once it is off the record, nobody would think of it again.
        for action in actions:
            if isinstance(action, Stop | Forget):
                await self._act(action)
                reach("loop.acted")
        writes = [write for action in actions if (write := await self._write(action)) is not None]
        if writes:
            reach("loop.decided")
            try:
                stored = await self._store.commit([Lead(epoch=self.epoch), *writes])
            except Stale:
                raise
            except Conflict:
                # Somebody else wrote first. The change is on its way here and will be decided on anew.
                await self.catch_up()
                for key in filter(None, map(_key_of, writes)):
                    self._wakeups.set_alarm(key, self._clock.monotonic() + CONFLICT_S)
                return
            reach("loop.committed")
            for write in writes:
                if isinstance(write, Delete):
                    self._take_in(Change(revision=write.revision + 1, key=write.key, resource=None))
            for resource in stored:
                self._take_in(Change(revision=resource.revision, key=resource.key, resource=resource))
        for action in actions:
            if not isinstance(action, Stop | Forget):
                await self._act(action)
                reach("loop.acted")

    async def _write(self, action: Action) -> Write | None:
        now = self._clock.now()
        match action:
            case Create(document=document, status=status):
                if self.view.get(document.key) or await self._store.get(document.key):
                    return None
                return Put(resource=new_resource(document, self._new_uid(), now).with_status(**status))
            case Update(resource=resource):
                return Put(resource=resource.model_copy(update={"updated_at": now}))
            case Remove(resource=resource):
                return Delete(key=resource.key, revision=resource.revision)
            case Note(key=key, name=name, message=message):
                return Event(at=now, key=key, name=name, message=message)
        return None

    async def _act(self, action: Action) -> None:
        match action:
            case Start(launch=launch):
                # What was seen of it before is no longer so, and must not pass for its end.
                self._seen.pop(launch.id, None)
                await self._launcher.start(replace(launch, epoch=self.epoch))
            case Stop(id=id, grace_s=grace_s):
                await self._launcher.stop(id, grace_s)
            case Forget(run_uid=run_uid):
                await self._launcher.forget(run_uid)
            case Wake(key=key, after_s=after_s):
                self._wakeups.set_alarm(key, self._clock.monotonic() + after_s)


def new_resource(document: Document, uid: str, now: float) -> AnyResource:
    """A resource for a document nobody has stored yet."""
    kind = KINDS[document.kind]
    return kind.resource(document=document, status=kind.status(), uid=uid, created_at=now, updated_at=now)


def _key_of(write: Write) -> Key | None:
    if isinstance(write, Put):
        return write.resource.key
    return write.key if isinstance(write, Delete | Event) else None
