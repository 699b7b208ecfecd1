"""Who sees everything that is really done, and says at once when it ought not to have been.

The witness stands behind the faults: it hears of a commit, a start or a fence when it takes effect, whether or not
the caller ever does. It takes nobody's word, keeps its own account, and shares no code with what it judges.

What a launcher can promise of a node that is out of reach is less: an attempt left behind there goes on while its
run is started elsewhere. The promise is that it is ended when the node is back. Of a node that came back empty nobody
can know what had been started there, so it may be started there once more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from modelhall.control.leadership import RELEASED, SILENCE_S
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.run import ACTIVE, DONE, RunResource, held_cpus
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId, Launch, NodeReport
from modelhall.core.ports.store import Answer, Delete, Event, Hold, Lease, Put, Write
from modelhall.twin.programs import WRONG_CODE

CLOSE = 1e-6


class Violation(AssertionError):
    """Something was done that must never be, whatever fails."""


class Witness:
    """Keeps account of store and launcher. `note` is told of everything, in words."""

    def __init__(self, clock: Clock, nodes: Sequence[NodeReport], note: Callable[[str, str], None]) -> None:
        self.there: dict[Key, AnyResource] = {}
        self.lease: Lease | None = None
        self.launches: dict[AttemptId, Launch] = {}
        self.wiped: set[AttemptId] = set()
        """Attempts whose machine came back empty."""
        self.answered: Counter[str] = Counter()
        self.changed: dict[Key, None] = {}
        """What has changed since this was last emptied."""
        self._clock = clock
        self._cpus = {node.name: node.cpus for node in nodes}
        self._note = note
        self._revision = 0
        self._leased_at = 0.0
        self._fence = 0
        self._last: dict[str, int] = {}
        """The newest attempt of each run that was ever on record."""
        self._over: dict[str, str] = {}
        self._quotas: dict[str, list[tuple[int, float | None]]] = defaultdict(list)

    def committed(self, by: str, writes: Sequence[Write], stored: Sequence[AnyResource]) -> None:
        """A commit by somebody who is no control plane's loop."""
        self._commit(by, writes, stored, since=self._revision)

    def committed_by_loop(
        self, by: str, epoch: int, read_to: int, writes: Sequence[Write], stored: Sequence[AnyResource]
    ) -> None:
        """A commit by a loop of `epoch` that had followed the store until `read_to`."""
        led = self.lease.epoch if self.lease else None
        if epoch != led:
            raise Violation(f"a loop of epoch {epoch} wrote in epoch {led}")
        for resource in stored:
            before = self.there.get(resource.key)
            if before is not None and before.document != resource.document:
                raise Violation(f"the loop changed the document of {resource.key}")
        self._commit(by, writes, stored, since=read_to)

    def started(self, launch: Launch) -> None:
        """An attempt has begun."""
        id, run = launch.id, next((r for r in self.there.values() if r.uid == launch.id.run_uid), None)
        self._note("launcher", f"starts attempt {id.number} of {launch.run} ({id.run_uid}) on {launch.node}")
        if launch.epoch < self._fence:
            raise Violation(
                f"{launch.run} was launched under epoch {launch.epoch}, after {self._fence} was fenced"
            )
        if id in self.launches and id not in self.wiped:
            raise Violation(f"attempt {id} was started twice")
        self.wiped.discard(id)
        self.launches[id] = launch
        if run is None or (run.status.state, run.status.attempt) not in [(s, id.number) for s in ACTIVE]:
            state = run and (run.status.state, run.status.attempt)
            raise Violation(f"attempt {id} of {launch.run} was started and the store says {state}")
        for attempt in run.status.attempts[:-1]:
            mistaken = attempt.exit and (attempt.exit.timed_out or attempt.exit.code == WRONG_CODE)
            if mistaken and run.document.command:
                raise Violation(f"{launch.run} was started again after a mistake of its user's")

    def fenced(self, epoch: int) -> None:
        self._note("launcher", f"fences epoch {epoch}")
        if epoch < self._fence:
            raise Violation(f"the fence went back from epoch {self._fence} to {epoch}")
        self._fence = epoch

    def check_alive(self, alive: Sequence[Launch]) -> None:
        """Of what is in reach, no run has two attempts."""
        attempts = Counter(launch.id.run_uid for launch in alive)
        for launch in alive:
            if attempts[launch.id.run_uid] > 1:
                raise Violation(f"two attempts of {launch.run} ({launch.id.run_uid}) are alive")

    def _commit(self, by: str, writes: Sequence[Write], stored: Sequence[AnyResource], since: int) -> None:
        self._note(by, "commits " + _told(writes, self.there))
        fresh = iter(stored)
        events = {(write.key, write.name) for write in writes if isinstance(write, Event)}
        for write in writes:
            match write:
                case Put():
                    self._put(next(fresh), events, since)
                case Delete(key=key):
                    self._delete(key)
                case Hold(lease=lease):
                    self._hold(lease)
                case Answer(once=once):
                    self.answered[once] += 1
                    if self.answered[once] > 1:
                        raise Violation(f"the call with key {once} was done {self.answered[once]} times")

    def _put(self, after: AnyResource, events: set[tuple[Key, str]], since: int) -> None:
        key, before = after.key, self.there.get(after.key)
        if after.revision <= self._revision:
            raise Violation(f"revision {after.revision} of {key} came after {self._revision}")
        self._revision = after.revision
        if before is not None and (before.uid != after.uid or before.deleting > after.deleting):
            raise Violation(f"{key} was brought back while it was being removed")
        self.there[key] = after
        self.changed[key] = None
        if key.kind == "project":
            quota = after.document.quota
            self._quotas[key.name].append((after.revision, None if quota.borrow else quota.cpus))
        if key.kind == "run":
            self._run(before, after, events, since)

    def _delete(self, key: Key) -> None:
        self._revision += 1
        gone = self.there.pop(key)
        self.changed[key] = None
        if key.kind == "project":
            self._quotas[key.name].append((self._revision, None))
        if key.kind == "run" and gone.status.state in ACTIVE:
            raise Violation(f"{key} was removed while it had an attempt")

    def _hold(self, lease: Lease) -> None:
        before, now = self.lease, self._clock.monotonic()
        if before is not None:
            if (lease.epoch, lease.beat) <= (before.epoch, before.beat):
                raise Violation(f"the lease went back from {before} to {lease}")
            taken = lease.epoch > before.epoch and before.holder not in (RELEASED, lease.holder)
            if taken and now - self._leased_at < SILENCE_S - CLOSE:
                raise Violation(f"{lease} was taken {now - self._leased_at:.1f} s after {before}")
        self.lease, self._leased_at = lease, now

    def _run(
        self, before: RunResource | None, after: RunResource, events: set[tuple[Key, str]], since: int
    ) -> None:
        status, uid = after.status, after.uid
        if uid in self._over and status.state != self._over[uid]:
            raise Violation(f"{after.key} was {self._over[uid]} and is {status.state}")
        if status.attempt < self._last.get(uid, 0):
            raise Violation(f"{after.key} went back to attempt {status.attempt}")
        self._last[uid] = status.attempt
        newest = status.attempts[-1] if status.attempts else None
        if status.state in DONE:
            self._over[uid] = status.state
            if not status.reason or status.address:
                raise Violation(f"{after.key} is {status.state} with reason {status.reason!r}")
        elif status.state in ACTIVE:
            if newest is None or newest.exit or (newest.number, newest.node) != (status.attempt, status.node):
                raise Violation(f"{after.key} is {status.state} on {status.node} with {newest}")
        elif status.node is not None or status.address or (newest and newest.exit is None):
            raise Violation(f"{after.key} is {status.state} with {status.node} and {newest}")
        if status.state == "starting" and (before is None or before.status.attempt != status.attempt):
            if (after.key, "run.started") not in events:
                raise Violation(f"{after.key} was started and no event says so")
            self._check_room(after, since)

    def _check_room(self, run: RunResource, since: int) -> None:
        """What a loop could know when it decided: the store as it had read it."""
        active = [r for key, r in self.there.items() if key.kind == "run" and r.status.state in ACTIVE]
        here = sum(held_cpus(r) for r in active if r.status.node == run.status.node)
        if here > self._cpus[run.status.node or ""] + CLOSE:
            raise Violation(f"{run.status.node} is given runs of {here} CPUs, the last {run.key}")
        project = run.key.project
        held = sum(held_cpus(r) for r in active if r.key.project == project)
        quotas = [quota for revision, quota in self._quotas[project] if revision <= since][-1:]
        quotas += [quota for revision, quota in self._quotas[project] if revision > since]
        most = max((float("inf") if quota is None else quota for quota in quotas), default=float("inf"))
        if run.document.resources.cpus and held > most + CLOSE:
            raise Violation(f"project {project} holds {held} of its {most} CPUs, the last for {run.key}")


def _told(writes: Sequence[Write], there: dict[Key, AnyResource]) -> str:
    """What a commit changes, in a line; before it is taken in."""
    told = []
    for write in writes:
        match write:
            case Put(resource=resource):
                before = there.get(resource.key)
                was = before.status.state if before else "-"
                went = resource.status.state
                way = went if was == went else f"{was}→{went}"
                number = f"#{resource.status.attempt}" if resource.key.kind == "run" else ""
                flags = "".join(
                    (
                        " deleting" if resource.deleting else "",
                        " cancelled" if getattr(resource.document, "cancelled", False) else "",
                    )
                )
                told.append(f"{resource.key.path}{number} {way}{flags}")
            case Delete(key=key):
                told.append(f"{key.path} gone")
            case Hold(lease=lease):
                told.append(f"lease {lease.holder} {lease.epoch}.{lease.beat}")
            case Answer(once=once):
                told.append(f"answer {once}")
    return ", ".join(told)
