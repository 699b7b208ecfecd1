"""Workers as those see them who watch over them: forked here, or lent by another node.

A worker that was forked is told apart from a hung one by its processor time (`signs`). Of one that is lent its lender
says so every second; a lender that says nothing any more is gone, and his worker with him.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Protocol

from modelhall.core.errors import Broken, Failed, HallError, NotNow, Rejected
from modelhall.core.kinds.base import Problem
from modelhall.stages.train.gang import post
from modelhall.stages.train.gang.dialling import hang_up
from modelhall.stages.train.gang.formation import Hand
from modelhall.stages.train.gang.signs import HANGS_AFTER_S, Signs, Waiting

PR_SET_PDEATHSIG = 1
AGAIN_S = 1.0
LONGEST_LOOK_S = 2.0
"""Between two looks at a lent worker at most this much counts as its silence."""


class Worker(Protocol):
    """One worker, as its leader sees it."""

    link: Connection
    hand: Hand

    @property
    def name(self) -> str: ...

    def is_still(self, now: float) -> bool:
        """Whether it has given no sign of life for long."""
        ...

    def is_to_blame(self, now: float) -> bool:
        """Whether one that is still waits for nobody."""
        ...

    def kill(self) -> None:
        """Have it be gone, which its link tells."""
        ...

    def end(self) -> str:
        """Have nothing of it be left; how it ended."""
        ...


class Forked:
    """A worker on this machine."""

    def __init__(self, pid: int, link: Connection, waits: Waiting, now: float) -> None:
        self.link = link
        self.hand = Hand(doing="preparing")
        self._pid = pid
        self._waits = waits
        self._signs = Signs(pid, now)

    @property
    def name(self) -> str:
        return str(self._pid)

    def is_still(self, now: float) -> bool:
        return self._signs.still_s(now) >= HANGS_AFTER_S

    def is_to_blame(self, now: float) -> bool:
        return not self._waits or self._signs.is_stopped

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def end(self) -> str:
        self.link.close()
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        _, status = os.waitpid(self._pid, 0)
        self._waits.close()
        code = os.waitstatus_to_exitcode(status)
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Lent:
    """A worker on another node, by the connection on which it has dialled in."""

    def __init__(self, number: int, link: Connection, now: float) -> None:
        self.link = link
        self.hand = Hand(doing="preparing", lent=True)
        self._number = number
        self._silent_s = 0.0
        self._looked_at = now
        self._said_still = False

    @property
    def name(self) -> str:
        return f"lent {self._number}"

    def heard(self, now: float, *, is_still: bool | None = None) -> None:
        """It has said something, or its lender has: whether it is still."""
        self._silent_s, self._looked_at = 0.0, now
        if is_still is not None:
            self._said_still = is_still

    def is_still(self, now: float) -> bool:
        return self._said_still or self.is_to_blame(now)

    def is_to_blame(self, now: float) -> bool:
        # While the leader itself stood still, nobody could be heard.
        self._silent_s += min(now - self._looked_at, LONGEST_LOOK_S)
        self._looked_at = now
        return self._silent_s >= HANGS_AFTER_S

    def kill(self) -> None:
        hang_up(self.link)

    def end(self) -> str:
        hang_up(self.link)
        self.link.close()
        return "its connection has ended"


def fork(live: Callable[[Connection, Waiting], None], now: float) -> Forked:
    """A new worker, which lives and never comes back. What it raises it says on its link, to whoever forked it."""
    here, there = Pipe()
    waits = Waiting()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        here.close()
        _be_worker(parent, lambda: live(there, waits), there)
    there.close()
    return Forked(pid, here, waits, now)


def raised(problem: Problem, sort: str) -> HallError:
    """What a worker raised, as far as its class, of which `sort` is the name, tells who must act."""
    if problem.who == "time":
        return NotNow(problem.message, delay_s=AGAIN_S)
    if problem.who == "us":
        return Broken(problem.message, field=problem.field)
    return (Failed if sort == Failed.__name__ else Rejected)(problem.message, field=problem.field)


def _be_worker(parent: int, live: Callable[[], None], link: Connection) -> None:
    """In the new process: live, and never come back."""
    code = 70
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            live()
            code = 0
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
