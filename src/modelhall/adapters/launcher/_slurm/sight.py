"""How the hall sees one attempt that is a job of Slurm's: through the files in its folder, and where they end,
through what Slurm says of the job.

What Slurm says is always of a moment ago. It counts for what was seen before that moment, and for nothing later.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher._slurm.jobs import Job, as_slurm_has_it, problem_of
from modelhall.adapters.launcher._slurm.watch import Answer
from modelhall.adapters.launcher.supervision import left
from modelhall.adapters.launcher.supervision.afar import TAKEN
from modelhall.adapters.launcher.supervision.claim import claim
from modelhall.adapters.launcher.supervision.record import Record, read
from modelhall.core import files
from modelhall.core.kinds.base import Frozen, Problem
from modelhall.core.kinds.run import Exit, Progress
from modelhall.core.ports.launcher import Observation, Taken


@dataclass(eq=False)
class Sent:
    """A job on its way to Slurm, which is no other on the same way."""

    within_s: float = 0.0
    """How long it may be on its way yet."""


class JobSight:
    """One attempt, and what is known of it that no longer changes."""

    def __init__(self, folder: Path, name: str, *, lag_s: float) -> None:
        """`name` is its job's. What is written on a node is seen here within `lag_s`."""
        self.name = name
        self._sending: list[Sent] = []
        self._listed_from = -math.inf
        """When a table was asked for, at the earliest, that must have its job in it."""
        self._folder = folder
        self._lag_s = lag_s
        self._record = Record(folder)
        self._claimed_at: float | None = None
        self._is_nobodys = False
        """Whether no supervisor has begun or will begin."""
        self._ended_at: float | None = None
        self._last: Observation | None = None

    @property
    def is_over(self) -> bool:
        return self._last is not None

    @contextlib.contextmanager
    def being_sent(self, monotonic: Callable[[], float]) -> Iterator[Sent]:
        """While this lasts, and as long after it as is said, its job may not be listed yet."""
        sent = Sent()
        self._sending.append(sent)
        try:
            yield sent
            self._listed_from = max(self._listed_from, monotonic() + sent.within_s)
        finally:
            self._sending.remove(sent)

    def look(self, answer: Answer[dict[str, Job]] | None, monotonic: float, now: float) -> Observation | None:
        """What the attempt is doing; None when that cannot be said, since Slurm has given no `answer`."""
        if self._last is not None:
            return self._last
        if not self._folder.exists():
            return Observation(alive=None)
        if self._listed_from == -math.inf:
            # Another hall's doing, who may have queued it since the table was asked for.
            self._listed_from = monotonic
        job = answer.what.get(self.name) if answer is not None else None
        asked_at = answer.asked_at if answer is not None else -math.inf
        if self._claimed_at is None:
            self._look_at_claim(job, asked_at, monotonic)
        exit = self._record.exit()
        if exit is not None:
            return self._has_ended(exit, job, asked_at, monotonic)
        if self._is_nobodys:
            return self._is_lost(job, now)
        if answer is None:
            return None
        if self._claimed_at is None or self._claimed_at >= asked_at:
            return self._on_its_way(job)
        if job is not None and not (job.is_over or job.is_waiting):
            return self._record.at_work(self._taken().cpu_s)
        return self._is_lost(job, now) if self._has_settled(monotonic) else self._record.at_work(0.0)

    def taken(self) -> Taken | None:
        """What the attempt takes by its supervisor's newest word, if it is at work and has been looked at."""
        if self._last is not None or self._claimed_at is None:
            return None
        return self._taken()

    def stop(self, grace_s: float) -> bool:
        """Tell its supervisor to stop; whether there will never be one, so that its job may be cancelled."""
        if not self._folder.exists() or self._last is not None or self._record.exit() is not None:
            return False
        # Written before the claim, so that a supervisor that was quicker finds it.
        self._leave_stop(grace_s)
        self._keep_from_beginning()
        found = self._record.claim()
        is_nobodys = found is not None and found.pid is None
        if is_nobodys:
            self._take_back()
        return is_nobodys

    def _look_at_claim(self, job: Job | None, asked_at: float, monotonic: float) -> None:
        """See who has begun. When there is no job that could, nobody ever will."""
        is_listed = not self._sending and self._listed_from < asked_at
        if is_listed and (job is None or job.is_over or job.is_refused):
            self._keep_from_beginning()
        if (self._folder / supervisor.CLAIM).exists():
            found = self._record.claim()
            self._claimed_at = monotonic
            # A damaged claim is nobody's.
            self._is_nobodys = found is None or found.pid is None

    def _keep_from_beginning(self) -> None:
        """Have no supervisor begin that has not. On a disk that takes no claim nothing is certain until it does."""
        with contextlib.suppress(OSError):
            claim(self._folder, pid=None)

    def _on_its_way(self, job: Job | None) -> Observation:
        """Not begun, or just: what it waits for is Slurm's to say."""
        seen = self._record.at_work(0.0)
        if job is None or not job.is_waiting or seen.progress is not None:
            return seen
        return replace(seen, progress=Progress(done=0.0, message=f"waits in Slurm: {job}"))

    def _has_settled(self, monotonic: float) -> bool:
        """Whether all that was written on the node is to be seen here by now."""
        if self._ended_at is None:
            self._ended_at = monotonic
        # To list a folder has a network file system look anew at what is in it.
        with contextlib.suppress(OSError):
            os.listdir(self._folder)
        return monotonic - self._ended_at >= self._lag_s

    def _has_ended(self, exit: Exit, job: Job | None, asked_at: float, monotonic: float) -> Observation:
        """Its supervisor has written down how it ended. By whose will, Slurm is asked: its signal may reach a program
        before the supervisor, and what a program makes of a signal may look like any end."""
        asked_by_hall = (self._folder / supervisor.STOP).exists()
        if asked_by_hall or exit.timed_out or exit.out_of_memory:
            self._last = self._record.over(exit)
            return self._last
        if self._ended_at is None:
            self._ended_at = monotonic
        is_told = asked_at > self._ended_at and (job is None or job.is_over or job.is_waiting)
        if not is_told and monotonic - self._ended_at < self._lag_s:
            return self._record.at_work(exit.cpu_s)
        heard = as_slurm_has_it(exit, job)
        self._last = self._over(heard, problem_of(job) if heard.stopped else None)
        return self._last

    def _is_lost(self, job: Job | None, now: float) -> Observation:
        """It is over without a word of its own."""
        asked_by_hall = (self._folder / supervisor.STOP).exists()
        # Cut off from Slurm it may be at work all the same: before its run begins elsewhere, it is told to end.
        self._leave_stop(0.0)
        self._take_back()
        ended = as_slurm_has_it(Exit(stopped=asked_by_hall, ended_at=now), job)
        self._last = self._over(ended, None if asked_by_hall else problem_of(job))
        return self._last

    def _over(self, exit: Exit, problem: Problem | None) -> Observation:
        seen = self._record.over(exit)
        if problem is None or seen.result:
            return seen
        return replace(seen, result={"problem": problem.model_dump(exclude_none=True)})

    def _take_back(self) -> None:
        """Have nothing lie about that nobody will be handed."""
        with contextlib.suppress(OSError):
            left.remove(self._folder)

    def _leave_stop(self, grace_s: float) -> None:
        with contextlib.suppress(OSError):
            files.write_json(self._folder / supervisor.STOP, {"grace_s": grace_s})

    def _taken(self) -> Taken:
        found = read(self._folder / TAKEN, _Figures)
        return Taken(**found.model_dump()) if found is not None else Taken(cpu_s=0.0)


class _Figures(Frozen):
    """What a supervisor writes down of what its attempt takes."""

    cpu_s: float
    memory_bytes: int | None
    read_bytes: int | None
    written_bytes: int | None
