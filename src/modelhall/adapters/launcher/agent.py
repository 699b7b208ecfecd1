"""Processes on other machines, by an agent on each of them that dials in (`core/node_line.py`).

Kept here is what agents said last, in memory: a hall that starts again hears all of it anew. What is to be done is
said until it is known to be done. An agent that was away is told what of its work nobody wants any more before it is
asked for anything else, so that whatever happened meanwhile, nothing goes on there that has been given to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from modelhall.adapters.launcher._folders import REFUSED
from modelhall.adapters.launcher._handover import Handover
from modelhall.adapters.launcher.supervision.epoch import Fence
from modelhall.core.errors import Conflict, NotNow, Rejected
from modelhall.core.kinds.base import Problem
from modelhall.core.kinds.run import Exit
from modelhall.core.node_line import (
    LONGEST_HOLD_S,
    Beat,
    Done,
    Errand,
    Errands,
    Forget,
    HandedKeys,
    KeptRun,
    ReadLog,
    Seen,
    Start,
    Stop,
)
from modelhall.core.ports.launcher import AttemptId, Launch, LogPart, NodeReport, Observation, Taken

NAME = "agent"
HEARD_WITHIN_S = 2 * LONGEST_HOLD_S
"""A node whose agent has been silent for longer is not reported any more, and may have another agent."""
LOG_WITHIN_S = 15.0
RETRY_S = 2.0
SAME_CLOCK_S = 1.0
"""Clocks that are less apart are taken for the same."""


class Unwanted(NamedTuple):
    """What a node keeps for nobody."""

    attempts: tuple[AttemptId, ...]
    """They are alive there, and have been given up or have been started elsewhere."""
    runs: tuple[str, ...]
    """Uids of runs that are no more."""


Sifting = Callable[[str, Sequence[KeptRun]], Awaitable[Unwanted]]
"""Finds out, of all that the node with this name keeps, what nobody wants any more."""


class AgentLauncher:
    """The launcher port over machines that have an agent."""

    def __init__(
        self,
        folder: Path,
        *,
        handover: Handover,
        sift: Sifting,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """The fence is kept in `folder`, which all control planes of a hall share."""
        self._fence = Fence(folder)
        self._handover = handover
        self._sift = sift
        self._now = now
        self._monotonic = monotonic
        self._lines: dict[str, _Line] = {}
        self._epoch = self._fence.known()

    async def hear(self, node: str, beat: Beat) -> Errands:
        """Take in what the agent of `node` says; its errands, as soon as there are any. Raises Conflict when another
        agent speaks for this node, Rejected for one that says that it is somewhere else."""
        line = self._lines.get(node)
        if line is not None and line.session != beat.session and self._hears(line):
            raise Conflict(
                f"another agent speaks for node {node}, {self._monotonic() - line.heard_at:.0f} s ago; end "
                "it, or have this one join under a name of its own",
                field="node",
            )
        if line is None or line.session != beat.session:
            if beat.kept is None:
                return Errands(introduce=True)
            line = self._lines[node] = await self._greet(node, beat.session, beat.kept)
        line.take_in(beat, heard_at=self._monotonic(), ahead_s=beat.now - self._now())
        await line.something_new(beat.hold_s)
        return line.errands(self._epoch)

    async def start(self, launch: Launch) -> None:
        await asyncio.to_thread(self._pass_fence, launch.epoch)
        line = self._line(launch.node)
        if line is None:
            raise NotNow(
                f"run {launch.run!r} cannot be started: node {launch.node} is not heard of; tried again",
                delay_s=RETRY_S,
            )
        try:
            values = self._handover.values(launch)
        except Rejected as error:
            line.seen[launch.id] = _refused(error, self._now())
            return
        keys = HandedKeys.from_set(self._handover.keys(launch))
        start = Start(launch=launch, secrets=values.own, hall_secrets=values.of_hall, keys=keys)
        line.start(start)

    async def fence(self, epoch: int) -> None:
        await asyncio.to_thread(self._fence.raise_to, epoch)
        self._epoch = epoch
        for line in self._lines.values():
            line.wake()

    async def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        """What agents said last. Of what they have not said anything yet, they are asked."""
        found: dict[AttemptId, Observation] = {}
        for node, its in _by_node(ids).items():
            line = self._line(node)
            if line is not None:
                found |= line.observe(its)
        return found

    async def taken(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Taken]:
        lines = {id: line for id in ids if (line := self._line(id.node)) is not None}
        return {id: line.taken[id] for id, line in lines.items() if id in line.taken}

    async def stop(self, id: AttemptId, grace_s: float) -> None:
        """A node out of reach is told when it is back: the agent that was there, as it is heard again; another, when
        it introduces itself."""
        line = self._lines.get(id.node)
        if line is not None:
            line.stop(id, grace_s)

    async def log(self, id: AttemptId, offset: int, limit: int = 65536) -> LogPart:
        """Raises NotNow while the node is out of reach: its logs are there."""
        line = self._line(id.node)
        if line is not None:
            answer = line.read(ReadLog(id=id, offset=offset, limit=limit))
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(answer, LOG_WITHIN_S)
        raise NotNow(
            f"node {id.node}, where the log is, is not heard of; ask again when it is back", delay_s=RETRY_S
        )

    async def forget(self, run_uid: str) -> None:
        for line in self._lines.values():
            line.forget(run_uid)

    async def nodes(self) -> list[NodeReport]:
        return [
            replace(line.report, name=name, launcher=NAME)
            for name, line in self._lines.items()
            if line.report is not None and self._hears(line)
        ]

    async def _greet(self, node: str, session: str, kept: Sequence[KeptRun]) -> _Line:
        line = _Line(session, node)
        unwanted = await self._sift(node, kept)
        for id in unwanted.attempts:
            line.stop(id, grace_s=0.0)
        for run_uid in unwanted.runs:
            line.forget(run_uid)
        return line

    def _line(self, node: str) -> _Line | None:
        line = self._lines.get(node)
        return line if line is not None and self._hears(line) else None

    def _hears(self, line: _Line) -> bool:
        return self._monotonic() - line.heard_at < HEARD_WITHIN_S

    def _pass_fence(self, epoch: int) -> None:
        with self._fence.passing(epoch):
            pass


class _Line:
    """One agent, from when it introduced itself: what it said last, and what it is to do."""

    def __init__(self, session: str, node: str) -> None:
        self.session = session
        self.heard_at = 0.0
        self.report: NodeReport | None = None
        self.seen: dict[AttemptId, Observation] = {}
        self.taken: dict[AttemptId, Taken] = {}
        self._node = node
        self._watched: set[AttemptId] = set()
        self._errands: dict[int, Start | Stop | Forget | ReadLog] = {}
        self._logs: dict[int, asyncio.Future[LogPart]] = {}
        self._numbers = itertools.count(1)
        self._news = asyncio.Event()

    def take_in(self, beat: Beat, *, heard_at: float, ahead_s: float) -> None:
        """`ahead_s` is how far its clock is ahead of the hall's."""
        self.heard_at, self.report = heard_at, self._carrying_on(beat.node)
        for seen in beat.seen:
            id = replace(seen.id, node=self._node)
            self.seen[id] = self._believable(seen, ahead_s)
            if not self.seen[id].alive:
                self._watched.discard(id)
            self.taken.pop(id, None)
            if seen.taken is not None:
                self.taken[id] = seen.taken
        for done in beat.done:
            self._end(done)

    def _carrying_on(self, report: NodeReport) -> NodeReport:
        """What is said now, with what sensors said last: that is told only when they were read anew."""
        if report.figures or self.report is None:
            return report
        return replace(report, figures=self.report.figures, read_at=self.report.read_at)

    async def something_new(self, within_s: float) -> None:
        """Wait for something that the agent has not been told."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), within_s)
        self._news.clear()

    def errands(self, epoch: int) -> Errands:
        errands = tuple(Errand(number=number, what=what) for number, what in self._errands.items())
        return Errands(epoch=epoch, watch=tuple(self._watched), errands=errands)

    def wake(self) -> None:
        self._news.set()

    def start(self, start: Start) -> None:
        id = start.launch.id
        known = self.seen.get(id)
        if (known is None or known.alive is None) and not self._is_told(Start, id):
            self.seen.pop(id, None)
            self._watched.add(id)
            self._tell(start)

    def stop(self, id: AttemptId, grace_s: float) -> None:
        known = self.seen.get(id)
        if (known is None or known.alive) and not self._is_told(Stop, id):
            self._tell(Stop(id=id, grace_s=grace_s))

    def forget(self, run_uid: str) -> None:
        for id in [id for id in self.seen if id.run_uid == run_uid]:
            del self.seen[id]
        self._watched = {id for id in self._watched if id.run_uid != run_uid}
        self._tell(Forget(run_uid=run_uid))

    def read(self, what: ReadLog) -> asyncio.Future[LogPart]:
        answer = self._logs[self._tell(what)] = asyncio.get_running_loop().create_future()
        return answer

    def observe(self, ids: Sequence[AttemptId]) -> dict[AttemptId, Observation]:
        """What is known of them; of an attempt that is on its way there, that it is alive."""
        unheard = {id for id in ids if id not in self.seen}
        if not unheard <= self._watched:
            self._watched |= unheard
            self.wake()
        found = {id: self.seen[id] for id in ids if id in self.seen}
        going = {what.run_uid for what in self._errands.values() if isinstance(what, Forget)}
        found |= {id: Observation(alive=None) for id in ids if id.run_uid in going}
        return found | {id: Observation(alive=True) for id in ids if self._is_told(Start, id)}

    def _believable(self, seen: Seen, ahead_s: float) -> Observation:
        """What the agent sees, by the hall's clock. Where a replica is, is on the node and nowhere else."""
        observation = seen.observation
        if observation.exit is not None and abs(ahead_s) > SAME_CLOCK_S:
            ended_at = observation.exit.ended_at - ahead_s
            exit = observation.exit.model_copy(update={"ended_at": ended_at})
            observation = replace(observation, exit=exit)
        assert self.report is not None
        host = (observation.address or "").rpartition(":")[0]
        return observation if host in ("", self.report.address) else replace(observation, address=None)

    def _end(self, done: Done) -> None:
        what = self._errands.pop(done.number, None)
        answer = self._logs.pop(done.number, None)
        if answer is not None and not answer.done():
            answer.set_result(LogPart(offset=done.offset, data=done.data))
        if isinstance(what, Start):
            self._has_started(what.launch.id, done)

    def _has_started(self, id: AttemptId, done: Done) -> None:
        """One that has come to nothing is tried again by whoever asks for it again."""
        known = self.seen.get(id)
        if known is None or known.alive is None:
            self.seen[id] = Observation(alive=None if done.problem else True)
            self._watched.add(id)

    def _tell(self, what: Start | Stop | Forget | ReadLog) -> int:
        number = next(self._numbers)
        self._errands[number] = what
        self.wake()
        return number

    def _is_told(self, kind: type[Start] | type[Stop], id: AttemptId) -> bool:
        return any(isinstance(what, kind) and _id_of(what) == id for what in self._errands.values())


def _id_of(what: Start | Stop) -> AttemptId:
    return what.launch.id if isinstance(what, Start) else what.id


def _by_node(ids: Iterable[AttemptId]) -> dict[str, list[AttemptId]]:
    found: dict[str, list[AttemptId]] = {}
    for id in ids:
        found.setdefault(id.node, []).append(id)
    return found


def _refused(error: Rejected, now: float) -> Observation:
    """An attempt that was over before it began."""
    problem = {"problem": Problem.of(error).model_dump()}
    return Observation(alive=False, exit=Exit(code=REFUSED, ended_at=now), result=problem)
