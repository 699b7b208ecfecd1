"""What goes wrong between a process and the store or the launcher: calls that are lost, answers that are lost, a
process that dies or falls asleep in the middle of a call.

Every fault is drawn from one seeded source, so that a seed is a history.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from modelhall.core.errors import NotNow
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.launcher import (
    AttemptId,
    Launch,
    Launcher,
    LogPart,
    NodeReport,
    Observation,
    Taken,
)
from modelhall.core.ports.store import Answer, Change, Event, Lease, Store, Unread, Write
from modelhall.twin.scheduler import Killed, Scheduler, pause

T = TypeVar("T")

ACTS = ("commit", "start", "stop", "forget", "fence")
"""Calls that change something. They are fewer, and fail more often than those that only look."""
MORE_OFTEN = 8.0


class Fault(NamedTuple):
    before: bool
    """Whether it strikes before the call is carried out, or after, before the caller has heard of it."""
    how: str
    """slow, lost, asleep or killed."""


class Faults:
    """Draws what goes wrong with a call. `rates` are shares of the calls that only look, by `Fault.how`."""

    def __init__(self, random: Random, rates: Mapping[str, float]) -> None:
        self.random = random
        self._rates = dict(rates)
        self._any = sum(rates.values())

    def draw(self, what: str) -> Fault | None:
        at = self.random.random()
        if at >= self._any * (MORE_OFTEN if what in ACTS else 1.0):
            return None
        (how,) = self.random.choices(list(self._rates), list(self._rates.values()))
        return Fault(self.random.random() < 0.5, how)

    def cease(self) -> None:
        """From now on calls go well."""
        self._rates, self._any = {}, 0.0


class Wire:
    """One process's way to the world. `note` is told of what went wrong."""

    def __init__(
        self, process: str, faults: Faults, scheduler: Scheduler, note: Callable[[str], None]
    ) -> None:
        self._process = process
        self._faults = faults
        self._scheduler = scheduler
        self._note = note

    async def carry(self, what: str, call: Coroutine[Any, Any, T]) -> T:
        """Do `call`, or what a fault makes of it. Raises NotNow and Killed."""
        fault = self._faults.draw(what)
        if fault is None:
            return await call
        self._note(f"{fault.how} {'before' if fault.before else 'after'} {what}")
        if not fault.before:
            result = await call
            await self._strike(fault.how)
            return result
        try:
            await self._strike(fault.how)
        except BaseException:
            call.close()
            raise
        return await call

    async def _strike(self, how: str) -> None:
        random = self._faults.random
        match how:
            case "slow":
                await pause(random.uniform(0.0, 0.3))
            case "lost":
                raise NotNow("no answer", delay_s=0.1)
            case "asleep":
                seconds = random.choice((1.0, 3.5, 9.0, 20.0))
                self._scheduler.sleep(self._process, seconds)
                await pause(seconds)
            case "killed":
                raise Killed


class FaultyStore:
    """The store port at the far end of a wire. `commit` and `news` are how the world is told of what is done."""

    def __init__(
        self,
        store: Store,
        wire: Wire,
        commit: Callable[[Sequence[Write]], Coroutine[Any, Any, list[AnyResource]]],
    ) -> None:
        self._store = store
        self._wire = wire
        self._commit = commit

    async def get(self, key: Key) -> AnyResource | None:
        return await self._wire.carry("get", self._store.get(key))

    async def find(self, kind: str, project: str | None = None, **which: Any) -> list[AnyResource]:
        return await self._wire.carry("find", self._store.find(kind, project, **which))

    async def latest(self, kind: str, project: str | None = None, **which: Any) -> list[AnyResource]:
        return await self._wire.carry("find", self._store.latest(kind, project, **which))

    async def alive(self, kind: str, **which: Any) -> Sequence[AnyResource | Unread]:
        return await self._wire.carry("find", self._store.alive(kind, **which))

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        return await self._wire.carry("commit", self._commit(writes))

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        return await self._wire.carry("changes", self._store.changes(after, limit))

    async def revision(self) -> int:
        return await self._wire.carry("revision", self._store.revision())

    async def wait(self, after: int, timeout_s: float) -> bool:
        if await self._store.revision() <= after:
            await pause(timeout_s, or_news=True)
        return await self._store.revision() > after

    async def events(
        self, key: Key | None = None, limit: int = 100, *, project: str | None = None
    ) -> list[Event]:
        return await self._wire.carry("events", self._store.events(key, limit, project=project))

    async def counts(self) -> dict[tuple[str, str], int]:
        return await self._wire.carry("counts", self._store.counts())

    async def answer(self, once: str) -> Answer | None:
        return await self._wire.carry("answer", self._store.answer(once))

    async def lease(self) -> Lease | None:
        return await self._wire.carry("lease", self._store.lease())

    async def skip_to(self, revision: int) -> None:
        await self._wire.carry("skip to", self._store.skip_to(revision))

    async def close(self) -> None:
        pass


class FaultyLauncher:
    """The launcher port at the far end of a wire."""

    def __init__(self, launcher: Launcher, wire: Wire) -> None:
        self._launcher = launcher
        self._wire = wire

    async def start(self, launch: Launch) -> None:
        await self._wire.carry("start", self._launcher.start(launch))

    async def fence(self, epoch: int) -> None:
        await self._wire.carry("fence", self._launcher.fence(epoch))

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        return await self._wire.carry("observe", self._launcher.observe(ids))

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        return await self._wire.carry("taken", self._launcher.taken(ids))

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        await self._wire.carry("stop", self._launcher.stop(id, grace_s))

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        return await self._wire.carry("log", self._launcher.log(id, offset, limit))

    async def forget(self, run_uid: str) -> None:
        await self._wire.carry("forget", self._launcher.forget(run_uid))

    async def nodes(self) -> list[NodeReport]:
        return await self._wire.carry("nodes", self._launcher.nodes())
