"""The loop: compare what is declared with what is observed, and take the next action.

Level-triggered. The loop keeps nothing it could not read again: killed at any instant and started anew, it goes on
from the store and from what the launcher sees. Reconcilers decide; only the loop touches store and launcher. It
commits before it launches, so that a start is always on record, and a launcher starts an attempt once.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Sequence

from modelhall.control import datasets, models, nodes, projects, queue, runs, services
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
from modelhall.control.view import View
from modelhall.core.errors import Conflict
from modelhall.core.kinds import KINDS, AnyResource, Document, Key
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId, Launcher, Observation
from modelhall.core.ports.store import Change, Delete, Event, Put, Store, Write

log = logging.getLogger(__name__)

OBSERVE_EVERY_S = 0.2
NODES_EVERY_S = 2.0
LOOK_AGAIN_S = 5.0
"""When a resource whose reconciling failed is looked at again."""
ROUNDS = 1000
"""Most rounds of one step; more would mean reconcilers that undo each other."""


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
        policy: queue.Policy,
    ) -> None:
        self.view = View()
        self._read_to = 0
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._new_uid = new_uid
        self._fingerprint = fingerprint
        self._policy = policy
        self._due: dict[Key, None] = {}
        self._alarms: list[tuple[float, Key]] = []
        self._alarm_at: dict[Key, float] = {}
        self._seen: dict[AttemptId, Observation] = {}
        self._observe_at = self._nodes_at = 0.0
        self._queue_changed = True

    async def step(self) -> float:
        """Do all that can be done now; return how many seconds later, at the latest, to call again."""
        await self._read_changes()
        await self._look_at_nodes()
        await self._look_at_attempts()
        self._ring_alarms()
        for _ in range(ROUNDS):
            if not self._due and not self._queue_changed:
                break
            due, self._due = self._due, {}
            for key in due:
                await self._reconcile(key)
            if self._queue_changed:
                self._queue_changed = False
                await self._do(queue.schedule(self.view, self._policy, self._clock.now()))
            await self._read_changes()
        return self._wait_s()

    def _wait_s(self) -> float:
        now = self._clock.monotonic()
        times = [self._nodes_at]
        if any(run.status.state in ACTIVE for run in self.view.of_kind("run")):
            times.append(self._observe_at)
        wait_s = min(times) - now
        if self._alarms:
            wait_s = min(wait_s, self._alarms[0][0] - self._clock.now())
        return max(0.0, wait_s)

    async def _read_changes(self) -> None:
        # What is committed here is read again all the same: others may have written just before.
        while changes := await self._store.changes(self._read_to):
            for change in changes:
                self._take_in(change)
            self._read_to = changes[-1].revision

    def _take_in(self, change: Change) -> None:
        before = self.view.get(change.key)
        if not self.view.apply(change):
            return
        resource = change.resource or before
        assert resource is not None
        self._due.update(dict.fromkeys(self.view.concerned(resource)))
        if change.key.kind == "node":
            self._due.update(dict.fromkeys(nodes.concerned(self.view, change.key)))
        if change.key.kind in ("run", "node", "project"):
            self._queue_changed = True

    async def _look_at_nodes(self) -> None:
        if self._clock.monotonic() >= self._nodes_at:
            self._nodes_at = self._clock.monotonic() + NODES_EVERY_S
            reports = await self._launcher.nodes()
            # A node that has just been made is known by the second look.
            for _ in range(2):
                await self._do(nodes.reconcile(self.view, reports, self._clock.now()))
                await self._read_changes()

    async def _look_at_attempts(self) -> None:
        """Ask the launcher about the active attempts; whoever's changed has to be looked at."""
        if self._clock.monotonic() < self._observe_at:
            return
        self._observe_at = self._clock.monotonic() + OBSERVE_EVERY_S
        active = {
            runs.attempt_id(run): run.key for run in self.view.of_kind("run") if run.status.state in ACTIVE
        }
        seen = await self._launcher.observe(list(active)) if active else {}
        changed = [key for id, key in active.items() if seen[id] != self._seen.get(id)]
        self._seen = seen
        self._due.update(dict.fromkeys(changed))

    def _ring_alarms(self) -> None:
        while self._alarms and self._alarms[0][0] <= self._clock.now():
            at, key = heapq.heappop(self._alarms)
            if self._alarm_at.get(key) == at:
                del self._alarm_at[key]
                self._due[key] = None

    def _set_alarm(self, key: Key, at: float) -> None:
        """Wake `key` at the earliest instant anybody asked for; one alarm each."""
        if at < self._alarm_at.get(key, float("inf")):
            self._alarm_at[key] = at
            heapq.heappush(self._alarms, (at, key))

    async def _reconcile(self, key: Key) -> None:
        """Take the next step for one resource. Whatever goes wrong with it does not hold up the others."""
        resource = self.view.get(key)
        if resource is None:
            return
        try:
            await self._do(await self._decide(resource))
        except Exception:
            # A full disk, a store that is busy, or a bug of ours: all of them may be over at the next look.
            log.exception("reconcile.failed resource=%s", key)
            self._set_alarm(key, self._clock.now() + LOOK_AGAIN_S)

    async def _decide(self, resource: AnyResource) -> list[Action]:
        now = self._clock.now()
        match resource.key.kind:
            case "dataset":
                seen = await datasets.observe(resource, self.view, self._fingerprint)
                return datasets.reconcile(resource, seen, now)
            case "model":
                return models.reconcile(resource, await models.observe(resource, self.view), now)
            case "service":
                return services.reconcile(resource, await services.observe(resource, self.view), now)
            case "run":
                return runs.reconcile(resource, await runs.observe(resource, self.view, self._seen), now)
            case "project":
                return projects.reconcile(resource)
            case _:
                return []

    async def _do(self, actions: Sequence[Action]) -> None:
        """Commit what is to be stored, all or nothing; then act on the world."""
        writes = [write for action in actions if (write := self._write(action)) is not None]
        if writes:
            try:
                stored = await self._store.commit(writes)
            except Conflict:
                # Somebody else wrote first. The change is on its way here and will be decided on anew.
                self._due.update(dict.fromkeys(_keys(writes)))
                self._queue_changed = True
                return
            for resource in stored:
                self._take_in(Change(revision=resource.revision, key=resource.key, resource=resource))
        for action in actions:
            await self._act(action)

    def _write(self, action: Action) -> Write | None:
        now = self._clock.now()
        match action:
            case Create(document=document):
                return (
                    None
                    if self.view.get(document.key)
                    else Put(resource=new_resource(document, self._new_uid(), now))
                )
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
                await self._launcher.start(launch)
            case Stop(id=id, grace_s=grace_s):
                await self._launcher.stop(id, grace_s)
            case Forget(run_uid=run_uid):
                await self._launcher.forget(run_uid)
            case Wake(key=key, at=at):
                self._set_alarm(key, at)


def new_resource(document: Document, uid: str, now: float) -> AnyResource:
    """A resource for a document nobody has stored yet."""
    kind = KINDS[document.kind]
    return kind.resource(document=document, status=kind.status(), uid=uid, created_at=now, updated_at=now)


def _keys(writes: Sequence[Write]) -> list[Key]:
    return [write.resource.key if isinstance(write, Put) else write.key for write in writes]
