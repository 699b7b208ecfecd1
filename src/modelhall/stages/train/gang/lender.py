"""Whoever lends workers to a training that is led on another node: forks them, watches over them, replaces them.

Each has a connection to the leader, on which it says what any worker says. This process has a copy of it, and says
every second whether the worker still gives signs of life. It ends when it is ended, or when the leader is not to be
reached any more.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import NoReturn

from modelhall.core.errors import NotNow
from modelhall.core.kinds.base import Problem
from modelhall.stages.train.gang import post, workers
from modelhall.stages.train.gang.dialling import hang_up
from modelhall.stages.train.gang.leader import LOOK_EVERY_S, MOST_LOSSES, Live
from modelhall.stages.train.gang.post import Post
from modelhall.stages.train.gang.signs import Waiting
from modelhall.stages.train.gang.workers import AGAIN_S, Forked

LONG_S = 60.0
"""A worker that has lived for so long died by bad luck."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lent:
    worker: Forked
    line: Connection
    since: float


class Lender:
    """One node's part of a gang that is led elsewhere."""

    def __init__(
        self,
        live: Live,
        workers: int,
        dial: Callable[[], Connection],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dial` connects with the leader, and raises a HallError when that cannot be done."""
        self._live = live
        self._wanted = workers
        self._dial = dial
        self._monotonic = monotonic
        self._lent: list[_Lent] = []
        self._losses = 0

    def lend(self) -> NoReturn:
        """Raises what a worker does, NotNow when the leader is out of reach or workers cannot be kept alive."""
        try:
            while True:
                while len(self._lent) < self._wanted:
                    self._lent.append(self._start())
                self._hear_all()
                self._watch()
        finally:
            for one in self._lent:
                _end(one)

    def _start(self) -> _Lent:
        line = self._dial()
        sys.stderr.write("the leader is reached, and is lent a worker\n")

        def live(_: Connection, waits: Waiting) -> None:
            # The leader has ended, or has given this worker up: whether there is to be another, the lender finds out.
            with contextlib.suppress(EOFError, ConnectionError):
                self._live(Post(line), waits)

        now = self._monotonic()
        return _Lent(worker=workers.fork(live, now), line=line, since=now)

    def _hear_all(self) -> None:
        by_link = {one.worker.link: one for one in self._lent}
        for link in wait(list(by_link), LOOK_EVERY_S):
            assert isinstance(link, Connection)
            try:
                said = post.hear(link)
            except (EOFError, OSError):
                self._lose(by_link[link])
            else:
                raise workers.raised(Problem.model_validate(said["problem"]), said["sort"])

    def _lose(self, one: _Lent) -> None:
        how = _end(one)
        self._lent.remove(one)
        lasted = self._monotonic() - one.since >= LONG_S
        self._losses = 1 if lasted else self._losses + 1
        sys.stderr.write(f"worker {one.worker.name} is gone ({how}) and is replaced\n")
        if self._losses > MOST_LOSSES * self._wanted:
            raise NotNow(
                f"{self._losses} workers are gone soon after they began, the last by {how}", delay_s=AGAIN_S
            )

    def _watch(self) -> None:
        """Tell the leader of each worker whether it gives signs of life; end those that hang."""
        now = self._monotonic()
        for one in self._lent:
            is_still = one.worker.is_still(now)
            try:
                # Worker and lender write to one connection: whole messages, as they are small.
                post.say(one.line, {"alive": not is_still})
                if is_still and one.worker.is_to_blame(now):
                    one.worker.kill()
            except OSError:
                one.worker.kill()


def _end(one: _Lent) -> str:
    how = one.worker.end()
    hang_up(one.line)
    one.line.close()
    return how
