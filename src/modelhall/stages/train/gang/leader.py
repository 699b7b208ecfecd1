"""The leader of a gang: forks its workers, hears of them, replaces those that are gone, until one brings the result.

It runs nothing of its own, so that it has no thread but its first (and sleeping ones of libraries) when it forks, and
a new worker finds everything imported. Which of those at hand form a group, and who tells the others the state, is
decided in `formation`. Whoever is killed costs the step he was in; nobody outside hears of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Literal

from modelhall.core.errors import Broken, Failed, HallError, NotNow, Rejected
from modelhall.core.kinds.base import Problem
from modelhall.core.program import Reporter
from modelhall.stages.train.gang import formation, post
from modelhall.stages.train.gang.formation import Call, Formation, Hand
from modelhall.stages.train.gang.post import Message, Post
from modelhall.stages.train.gang.signs import HANGS_AFTER_S, Signs, Waiting

PR_SET_PDEATHSIG = 1
PREPARING = Hand(doing="preparing")
LOOK_EVERY_S = 1.0
AGAIN_S = 1.0
MOST_LOSSES = 5
"""For each worker, with no step in between; more is no bad luck."""

Live = Callable[[Post, Waiting], None]
"""What a worker does, until it is ended."""


@dataclass(kw_only=True, eq=False)
class _Worker:
    pid: int
    link: Connection
    waits: Waiting
    signs: Signs
    hand: Hand


class Leader:
    """One gang."""

    def __init__(
        self, live: Live, workers: int, reporter: Reporter, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._live = live
        self._wanted = workers
        self._reporter = reporter
        self._monotonic = monotonic
        self._workers: list[_Worker] = []  # the oldest first
        self._groups = 0
        self._step = -1
        self._losses = 0
        self._looks_at = monotonic()
        self._told: dict[str, int] = {}
        self._first_done: float | None = None
        self._output: Mapping[str, Any] | None = None

    def lead(self) -> Mapping[str, Any]:
        """What the workers bring. Raises the error that a worker says, NotNow when they cannot be kept alive."""
        try:
            while self._output is None:
                while len(self._workers) < self._wanted:
                    self._workers.append(self._start())
                self._hear_all()
                self._end_hung()
                self._form()
        finally:
            for worker in self._workers:
                _end(worker)
        return self._output

    def _start(self) -> _Worker:
        here, there = Pipe()
        waits = Waiting()
        sys.stdout.flush()
        sys.stderr.flush()
        leader = os.getpid()
        pid = os.fork()
        if pid == 0:
            here.close()
            _be_worker(leader, lambda: self._live(Post(there), waits), there)
        there.close()
        return _Worker(pid=pid, link=here, waits=waits, signs=Signs(pid, self._monotonic()), hand=PREPARING)

    def _hear_all(self) -> None:
        by_link = {worker.link: worker for worker in self._workers}
        for link in wait(list(by_link), LOOK_EVERY_S):
            assert isinstance(link, Connection)
            try:
                message = post.hear(link)
            except (EOFError, OSError):
                self._lose(by_link[link])
            else:
                self._take_in(by_link[link], message)

    def _take_in(self, worker: _Worker, message: Message) -> None:
        match message:
            case {"at_hand": step}:
                worker.hand = Hand(doing="free", step=step)
                self._see_step(step or 0)
            case {"progress": [done, total, unit, said]}:
                if self._first_done is None:
                    self._first_done = done
                self._reporter.progress(done, total, unit, message=said, done_before=self._first_done)
            case {"metrics": [step, values]}:
                self._see_step(step)
                self._hand_on(step, values)
            case {"problem": problem, "sort": sort}:
                raise _error(Problem.model_validate(problem), sort)
            case {"output": output}:
                self._output = output

    def _see_step(self, step: int) -> None:
        if step > self._step:
            self._step, self._losses = step, 0

    def _hand_on(self, step: int, values: Mapping[str, float]) -> None:
        """Report figures; those of steps that were done a second time are known."""
        news = {name: value for name, value in values.items() if self._told.get(name, -1) < step}
        if news:
            self._told |= dict.fromkeys(news, step)
            self._reporter.metrics(step, news)

    def _lose(self, worker: _Worker) -> None:
        status = _end(worker)
        self._workers.remove(worker)
        self._losses += 1
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        sys.stderr.write(f"worker {worker.pid} is gone ({how}) and is replaced\n")
        if self._losses > MOST_LOSSES * self._wanted:
            raise NotNow(
                f"{self._losses} workers are gone with no step between them, the last by {how}",
                delay_s=AGAIN_S,
            )

    def _end_hung(self) -> None:
        now = self._monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + LOOK_EVERY_S
        busy = [worker for worker in self._workers if worker.hand.doing != "free"]
        still = [worker for worker in busy if worker.signs.still_s(now) >= HANGS_AFTER_S]
        hung = [worker for worker in still if not worker.waits or worker.signs.is_stopped]
        # Where each waits for the others, there is no telling who is to blame.
        for worker in hung or (still if still == busy else ()):
            os.kill(worker.pid, signal.SIGKILL)

    def _form(self) -> None:
        match formation.decide([worker.hand for worker in self._workers], self._wanted):
            case Call(worker=number):
                self._say(number, {"leave": True}, "leaving")
            case Formation(workers=numbers, source=source, behind=behind):
                self._groups += 1
                for rank, number in enumerate(numbers):
                    place = {"rank": rank, "of": len(numbers), "number": self._groups}
                    self._say(number, {"join": place, "source": source, "behind": behind}, "working")

    def _say(self, number: int, message: Message, then: Literal["working", "leaving"]) -> None:
        """Tell a worker what to do, which it is doing `then`."""
        worker = self._workers[number]
        with contextlib.suppress(OSError):  # it is gone, which is heard next
            post.say(worker.link, message)
        worker.hand = Hand(doing=then)


def _be_worker(leader: int, live: Callable[[], None], link: Connection) -> None:
    """In the new process: live, and never come back."""
    code = 70
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == leader:
            live()
    except HallError as error:
        post.say(link, {"problem": Problem.of(error).model_dump(), "sort": type(error).__name__})
    except Exception as error:  # noqa: BLE001 - a bug becomes a recorded problem, as in `core.program`
        traceback.print_exc()
        problem = Problem(message=f"{type(error).__name__}: {error}", who="us")
        post.say(link, {"problem": problem.model_dump(), "sort": "Broken"})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end(worker: _Worker) -> int:
    """Kill a worker if it is there still; how it ended, as subprocess tells it."""
    worker.link.close()
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGKILL)
    _, status = os.waitpid(worker.pid, 0)
    worker.waits.close()
    return os.waitstatus_to_exitcode(status)


def _error(problem: Problem, sort: str) -> HallError:
    """What a worker raised, as far as its class, of which `sort` is the name, tells who must act."""
    if problem.who == "time":
        return NotNow(problem.message, delay_s=AGAIN_S)
    if problem.who == "us":
        return Broken(problem.message, field=problem.field)
    return (Failed if sort == Failed.__name__ else Rejected)(problem.message, field=problem.field)
