"""The leader of a gang: forks the workers of its own node, hears of them and of those that other nodes lend, replaces
its own, until one brings the result.

It runs nothing of its own, so that it has no thread but its first (and sleeping ones of libraries) when it forks, and
a new worker finds everything imported. Which of those at hand form a group, and who tells the others the state, is
decided in `formation`. Whoever is killed costs the step he was in; nobody outside hears of it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from modelhall.core.errors import NotNow
from modelhall.core.kinds.base import Problem
from modelhall.core.program import Reporter
from modelhall.stages.train.ending import AskedToEnd, Ending
from modelhall.stages.train.gang import formation, post, workers
from modelhall.stages.train.gang.dialling import Entrance
from modelhall.stages.train.gang.formation import Call, Formation, Hand
from modelhall.stages.train.gang.held_up import HELD_UP_S
from modelhall.stages.train.gang.post import Message, Post
from modelhall.stages.train.gang.signs import Waiting
from modelhall.stages.train.gang.workers import AGAIN_S, Forked, Lent, Worker

LOOK_EVERY_S = 1.0
MOST_LOSSES = 5
"""For each worker, with no step in between; more is no bad luck."""
LEAVES_WITHIN_S = 4 * HELD_UP_S
"""Who is called out of a group that holds him up is out of it by then."""

Live = Callable[[Post, Waiting], None]
"""What a worker does, until it is ended."""


class Leader:
    """One gang."""

    def __init__(
        self,
        live: Live,
        workers: int,
        reporter: Reporter,
        *,
        entrance: Entrance | None = None,
        ending: Ending | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """So many `workers` are its own; others may come by the `entrance`. When `ending` says so, the state is
        kept, and that is the end."""
        self._live = live
        self._wanted = workers
        self._reporter = reporter
        self._entrance = entrance
        self._ending = ending or Ending()
        self._monotonic = monotonic
        self._own: list[Forked] = []  # the oldest first
        self._lent: list[Lent] = []
        self._came = 0
        self._groups = 0
        self._step = -1
        self._losses = 0
        self._looks_at = monotonic()
        self._parted_at = float("-inf")
        self._told: dict[str, int] = {}
        self._first_done: float | None = None
        self._output: Mapping[str, Any] | None = None

    def lead(self) -> Mapping[str, Any]:
        """What the workers bring. Raises the error that a worker says, NotNow when they cannot be kept alive,
        AskedToEnd when somebody has asked for the end."""
        try:
            while self._output is None:
                if not self._ending.is_asked:
                    while len(self._own) < self._wanted:
                        self._own.append(self._start())
                self._hear_all()
                self._end_hung()
                if self._ending.is_asked:
                    self._wind_up()
                else:
                    self._form()
        finally:
            for worker in self._workers:
                worker.end()
            if self._entrance is not None:
                self._entrance.close()
        return self._output

    @property
    def _workers(self) -> list[Worker]:
        """Its own first, as groups have them."""
        return [*self._own, *self._lent]

    def _start(self) -> Forked:
        return workers.fork(lambda link, waits: self._live(Post(link), waits), self._monotonic())

    def _hear_all(self) -> None:
        by_link = {worker.link: worker for worker in self._workers}
        sockets = self._entrance.sockets if self._entrance is not None else []
        for link in wait([*by_link, *sockets], LOOK_EVERY_S):
            if not isinstance(link, Connection):
                continue
            try:
                message = post.hear(link)
            except (EOFError, OSError, ValueError):
                self._lose(by_link[link])
            else:
                self._take_in(by_link[link], message)
        if self._entrance is not None:
            for link in self._entrance.come_in():
                self._welcome(link)

    def _welcome(self, link: Connection) -> None:
        self._came += 1
        self._lent.append(Lent(self._came, link, self._monotonic()))
        sys.stderr.write(f"worker {self._lent[-1].name} has come\n")

    def _take_in(self, worker: Worker, message: Message) -> None:
        if isinstance(worker, Lent):
            is_alive = message.get("alive")
            worker.heard(self._monotonic(), is_still=None if is_alive is None else not is_alive)
        match message:
            case {"at_hand": step}:
                worker.hand = replace(worker.hand, doing="free", step=step)
                self._see_step(step or 0)
            case {"set": _}:
                self._pass_on(message, worker)
            case {"progress": [done, total, unit, said]}:
                if self._first_done is None:
                    self._first_done = done
                self._reporter.progress(done, total, unit, message=said, done_before=self._first_done)
            case {"metrics": [step, values]}:
                self._see_step(step)
                self._hand_on(step, values)
            case {"problem": problem, "sort": sort}:
                raise workers.raised(Problem.model_validate(problem), sort)
            case {"output": output}:
                self._output = output
            case {"kept": step}:
                raise AskedToEnd(f"asked to end; what was learnt in {step} steps is kept")

    def _pass_on(self, message: Message, sender: Worker) -> None:
        """Tell the others of a group what one says to all."""
        for worker in self._workers:
            if worker is not sender and worker.hand.doing == "working":
                with contextlib.suppress(OSError):  # it is gone, which is heard next
                    post.say(worker.link, message)

    def _see_step(self, step: int) -> None:
        if step > self._step:
            self._step, self._losses = step, 0

    def _hand_on(self, step: int, values: Mapping[str, float]) -> None:
        """Report figures; those of steps that were done a second time are known."""
        news = {name: value for name, value in values.items() if self._told.get(name, -1) < step}
        if news:
            self._told |= dict.fromkeys(news, step)
            self._reporter.metrics(step, news)

    def _lose(self, worker: Worker) -> None:
        how = worker.end()
        self._losses += 1
        if isinstance(worker, Lent):
            self._lent.remove(worker)
            sys.stderr.write(f"worker {worker.name} is gone ({how}); whoever lent it may send another\n")
            if worker.hand.doing == "working":
                # Where its machine is gone, nobody has told those who wait for it.
                self._part()
        elif isinstance(worker, Forked):
            self._own.remove(worker)
            sys.stderr.write(f"worker {worker.name} is gone ({how}) and is replaced\n")
        if self._losses > MOST_LOSSES * self._wanted:
            raise NotNow(
                f"{self._losses} workers are gone with no step between them, the last by {how}",
                delay_s=AGAIN_S,
            )

    def _part(self) -> None:
        """Have all who are at work leave their group."""
        self._parted_at = self._monotonic()
        for worker in self._workers:
            if worker.hand.doing == "working":
                self._say(worker, {"leave": True}, "leaving")

    def _end_hung(self) -> None:
        now = self._monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + LOOK_EVERY_S
        for lent in self._lent:
            if lent.hand.doing == "free" and lent.is_to_blame(now):
                lent.kill()
        busy = [worker for worker in self._workers if worker.hand.doing != "free"]
        still = [worker for worker in busy if worker.is_still(now)]
        hung = [worker for worker in still if worker.is_to_blame(now)]
        for worker in hung:
            worker.kill()
        if not hung and busy and still == busy:
            self._end_standstill(busy, now)

    def _end_standstill(self, busy: list[Worker], now: float) -> None:
        """Each waits for the others, and there is no telling who is to blame. Between nodes it may be the network."""
        if any(worker.hand.lent and worker.hand.doing == "working" for worker in busy):
            self._part()
        elif now - self._parted_at >= LEAVES_WITHIN_S:
            for worker in busy:
                worker.kill()

    def _form(self) -> None:
        there = self._workers
        match formation.decide([worker.hand for worker in there], self._wanted):
            case Call(worker=number):
                self._say(there[number], {"leave": True}, "leaving")
            case Formation(workers=numbers, source=source, behind=behind):
                self._groups += 1
                lent = sum(there[number].hand.lent for number in numbers)
                sys.stderr.write(f"{len(numbers)} workers are at work, {lent} of them lent\n")
                for rank, number in enumerate(numbers):
                    place = {"rank": rank, "of": len(numbers), "number": self._groups}
                    self._say(there[number], {"join": place, "source": source, "behind": behind}, "working")

    def _wind_up(self) -> None:
        """Have the one who is furthest of its own keep the state, once the group has fallen apart."""
        doing = {worker.hand.doing for worker in self._workers}
        if doing & {"leaving", "keeping"}:
            return
        if "working" in doing:
            self._part()
            return
        able = [worker for worker in self._own if worker.hand.step is not None]
        if not able:
            raise AskedToEnd("asked to end before anything was learnt")
        furthest = max(able, key=lambda worker: worker.hand.step or 0)
        self._say(furthest, {"keep": True}, "keeping")

    def _say(self, worker: Worker, message: Message, then: Literal["working", "leaving", "keeping"]) -> None:
        """Tell a worker what to do, which it is doing `then`."""
        with contextlib.suppress(OSError):  # it is gone, which is heard next
            post.say(worker.link, message)
        worker.hand = Hand(doing=then, lent=worker.hand.lent)
