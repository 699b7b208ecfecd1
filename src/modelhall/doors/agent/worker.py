"""What an agent does: beats, errands, and what it sees of the attempts the hall wants to hear of.

An attempt is said to be over only when all it has made is at the hall, so a result that is known can be used. What
was said and not answered is said again; what is asked for twice is done once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from modelhall.adapters.launcher.process import ProcessLauncher
from modelhall.core.errors import Conflict, NotNow, Stale
from modelhall.core.gang_key import GANG_KEY
from modelhall.core.node_line import (
    Beat,
    Done,
    Errand,
    Errands,
    Forget,
    KeptRun,
    ReadLog,
    Seen,
    Start,
    Stop,
)
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import AttemptId, Observation, Taken
from modelhall.core.replica_key import REPLICA_KEY
from modelhall.core.sealing import KeySet
from modelhall.doors.agent.home import AgentHome, KnownRun
from modelhall.doors.agent.moving import Its
from modelhall.doors.agent.sensing import NOTHING, Sensed

log = logging.getLogger(__name__)

BUSY_HOLD_S, IDLE_HOLD_S = 0.2, 2.0
"""How long the hall may hold a beat: what programs say is to be known soon; a machine that idles is left alone."""
RETRY_S = 1.0
ENDS_S = 0.1
TAKEN_EVERY_S = 2.0


class Handed:
    """The secrets and keys that came with starts, in memory alone."""

    def __init__(self) -> None:
        self._keys: dict[str, KeySet] = {}
        self._values: dict[tuple[str, str], str] = {}
        self._of_hall: dict[str, str] = {}
        self.hall_secrets = {
            REPLICA_KEY: lambda: self._of_hall[REPLICA_KEY],
            GANG_KEY: lambda: self._of_hall[GANG_KEY],
        }
        """Those of the hall's own that leave its machine."""

    def take(self, start: Start) -> None:
        project = start.launch.project
        if start.keys is not None:
            self._keys[project] = start.keys.as_set()
        self._values |= {(project, name): value for name, value in start.secrets.items()}
        self._of_hall |= start.hall_secrets

    def keys_of(self, project: str) -> KeySet | None:
        return self._keys.get(project)

    def get(self, project: str, name: str) -> bytes | None:
        value = self._values.get((project, name))
        return None if value is None else value.encode()

    def names(self, project: str) -> list[str]:
        return sorted(name for its, name in self._values if its == project)


class Files(Protocol):
    """What an attempt's files need (`moving.py`)."""

    async def begin(self, its: Its) -> None: ...

    async def finish(self, its: Its) -> None: ...

    def forget(self, uid: str) -> None: ...


class Worker:
    """One agent at work. It lives as long as its process; what it must not lose is in its home and with its
    supervisors."""

    def __init__(
        self,
        home: AgentHome,
        *,
        name: str,
        launcher: ProcessLauncher,
        handed: Handed,
        say: Callable[[Beat], Awaitable[Errands]],
        clock: Clock,
        sensed: Callable[[], Sensed] = lambda: NOTHING,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sensed` tells what the machine's sensors said, if that is new."""
        self.session = secrets.token_hex(8)
        self._home = home
        self._name = name
        self._launcher = launcher
        self._handed = handed
        self._say = say
        self._clock = clock
        self._sensed = sensed
        self._pause = pause
        self._files: Files | None = None
        self._introduces = True
        self._watched: dict[AttemptId, Observation | None] = {}
        """The attempts that the hall wants to hear of, and what it has heard."""
        self._done: dict[int, Done] = {}
        self._at_work: dict[int, asyncio.Task[None]] = {}
        self._finishing: dict[AttemptId, asyncio.Task[None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._changing: Counter[str] = Counter()
        """Runs by how many errands are under way that start attempts of them, or forget them."""
        self._taken_at = float("-inf")
        self._epoch = -1

    def moves_by(self, files: Files) -> None:
        """Have files move this way."""
        self._files = files

    def alive(self) -> list[Its]:
        """The attempts that the hall wants to hear of and that are at work."""
        known = self._home.known()
        return [
            Its(id.run_uid, id.number, known[id.run_uid])
            for id, told in self._watched.items()
            if id.run_uid in known and told is not None and told.alive
        ]

    async def run(self) -> None:
        """Beat for ever. Raises Denied when the hall does not know this node any more."""
        while True:
            await self.beat()

    async def end_all(self, grace_s: float) -> None:
        """End all that is at work here, and come back when it has ended."""
        await asyncio.gather(*(self._end(uid, grace_s) for uid in self._home.known()))

    async def beat(self) -> None:
        """Say what is new, and heed the answer; wait a moment when there is none."""
        beat = await self._beat()
        try:
            answer = await self._say(beat)
        except (NotNow, Conflict) as error:
            log.warning("agent.unheard reason=%s", error)
            await self._pause(error.delay_s if isinstance(error, NotNow) else RETRY_S)
            return
        self._heard(beat)
        try:
            await self._heed(answer)
        except Stale as error:
            log.warning("agent.unheeded reason=%s", error)
            await self._pause(RETRY_S)

    async def _beat(self) -> Beat:
        seen = [] if self._introduces else await self._news()
        (report,) = await self._launcher.nodes()
        figures, read_at = self._sensed()
        return Beat(
            session=self.session,
            node=replace(report, name=self._name, figures=figures, read_at=read_at),
            now=self._clock.now(),
            hold_s=BUSY_HOLD_S if self._watched or self._at_work else IDLE_HOLD_S,
            kept=await self._kept() if self._introduces else None,
            seen=tuple(seen),
            done=tuple(self._done.values()),
        )

    async def _kept(self) -> tuple[KeptRun, ...]:
        """All that is here."""
        known = self._home.known()
        ids = [AttemptId(uid, number) for uid in known for number in self._home.attempts(uid)]
        seen = await self._launcher.observe(ids)
        return tuple(
            KeptRun(
                project=run.project,
                run=run.run,
                uid=uid,
                alive=tuple(id.number for id in ids if id.run_uid == uid and seen[id].alive),
            )
            for uid, run in known.items()
        )

    async def _news(self) -> list[Seen]:
        """What has changed of what the hall wants to hear of, and now and then what all of it takes."""
        # One that is just being started or forgotten would pass for what it was before.
        ids = [id for id in self._watched if id.run_uid not in self._changing]
        seen = await self._launcher.observe(ids)
        taken: Mapping[AttemptId, Taken] = {}
        if self._clock.monotonic() - self._taken_at >= TAKEN_EVERY_S:
            self._taken_at = self._clock.monotonic()
            taken = await self._launcher.taken([id for id, one in seen.items() if one.alive])
        return [
            Seen(id=id, observation=one, taken=taken.get(id))
            for id, one in seen.items()
            if (one != self._watched[id] or id in taken) and self._may_be_told(id, one)
        ]

    def _may_be_told(self, id: AttemptId, observation: Observation) -> bool:
        """Whether all that belongs to it is at the hall; if not, it is on its way from now on."""
        if observation.alive is not False or self._files is None:
            return True
        its = self._its(id)
        if its is None:
            return True
        if id not in self._finishing:
            self._finishing[id] = asyncio.create_task(self._files.finish(its))
        return self._finishing[id].done()

    def _heard(self, beat: Beat) -> None:
        """The hall knows what it was told."""
        for seen in beat.seen:
            if not seen.observation.alive:
                self._finishing.pop(seen.id, None)
            if seen.id in self._watched:
                self._watched[seen.id] = seen.observation
        for done in beat.done:
            self._done.pop(done.number, None)
            self._at_work.pop(done.number, None)
        self._introduces = False

    async def _heed(self, answer: Errands) -> None:
        if answer.introduce:
            self._introduces = True
            self._watched.clear()
            self._done.clear()
            self._at_work.clear()
            return
        if answer.epoch != self._epoch:
            await self._launcher.fence(answer.epoch)
            self._epoch = answer.epoch
        self._watched = {id: self._watched.get(id) for id in answer.watch}
        for errand in answer.errands:
            if errand.number not in self._at_work:
                self._changing[_run_of(errand.what)] += isinstance(errand.what, Start | Forget)
                self._at_work[errand.number] = asyncio.create_task(self._carry_out(errand))

    async def _carry_out(self, errand: Errand) -> None:
        """One errand; those about one run in the order in which they were given."""
        what, done = errand.what, Done(number=errand.number)
        async with self._turns.setdefault(_run_of(what), asyncio.Lock()):
            try:
                match what:
                    case Start():
                        await self._start(what)
                    case Stop(id=id, grace_s=grace_s):
                        await self._launcher.stop(id, grace_s)
                    case Forget(run_uid=run_uid):
                        await self._forget(run_uid)
                    case ReadLog(id=id, offset=offset, limit=limit):
                        part = await self._launcher.log(id, offset, limit)
                        done = Done(number=errand.number, offset=part.offset, data=part.data)
            except Exception as error:  # noqa: BLE001 - whatever an errand comes to, the hall waits to hear of it
                log.warning("agent.not-done errand=%s reason=%s", what.do, error)
                done = Done(number=errand.number, problem=str(error) or type(error).__name__)
        self._done[errand.number] = done
        self._changing[_run_of(what)] -= isinstance(what, Start | Forget)
        self._changing = +self._changing

    async def _start(self, start: Start) -> None:
        launch = start.launch
        self._handed.take(start)
        run = KnownRun(project=launch.project, run=launch.run)
        await asyncio.to_thread(self._home.know, launch.id.run_uid, run)
        is_new = launch.id.number not in self._home.attempts(launch.id.run_uid)
        if is_new and self._files is not None:
            await self._files.begin(Its(launch.id.run_uid, launch.id.number, run))
        await self._launcher.start(launch)

    async def _forget(self, uid: str) -> None:
        """Remove all of a run, once nothing of it is at work: of one that went while this node was away, something
        may be."""
        await self._end(uid, grace_s=0.0)
        await self._launcher.forget(uid)
        if self._files is not None:
            self._files.forget(uid)
        self._home.forget(uid)
        self._turns.pop(uid, None)

    async def _end(self, uid: str, grace_s: float) -> None:
        """End all of a run that is at work, also what is yet to come, and come back when it has ended."""
        ids = [AttemptId(uid, number) for number in self._home.attempts(uid)]
        while any(one.alive for one in (await self._launcher.observe(ids)).values()):
            for id in ids:
                await self._launcher.stop(id, grace_s)
            await self._pause(ENDS_S)

    def _its(self, id: AttemptId) -> Its | None:
        run = self._home.known().get(id.run_uid)
        return Its(id.run_uid, id.number, run) if run is not None else None


def _run_of(what: Start | Stop | Forget | ReadLog) -> str:
    match what:
        case Start(launch=launch):
            return launch.id.run_uid
        case Forget(run_uid=run_uid):
            return run_uid
        case Stop(id=id) | ReadLog(id=id):
            return id.run_uid
