"""Whose turn it is: coroutines that a virtual clock resumes one at a time, in an order that never differs.

A coroutine gives its turn away by `await pause(…)` and by nothing else, so between two pauses nobody comes between.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from modelhall.twin.clock import VirtualClock

T = TypeVar("T")


class Wait(NamedTuple):
    """What a coroutine that gives its turn away asks for."""

    seconds: float
    or_news: bool


@types.coroutine
def pause(seconds: float, *, or_news: bool = False) -> Generator[Wait, None, None]:
    """Go on after `seconds`; `or_news`: or as soon as there is news."""
    yield Wait(seconds, or_news)


class Killed(BaseException):
    """The process is no more. No `except Exception` gets to see a kill -9."""


@dataclass(eq=False, kw_only=True)
class Task:
    """A coroutine and the process it belongs to."""

    process: str
    coroutine: Coroutine[Any, Any, None]
    due: float
    waits_for_news: bool = False


class Scheduler:
    """Resumes whoever has waited until the earliest instant; among equals the one that began first."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._tasks: list[Task] = []
        self._asleep_until: dict[str, float] = {}

    def begin(self, process: str, coroutine: Coroutine[Any, Any, None], *, after_s: float = 0.0) -> None:
        due = self._clock.monotonic() + after_s
        self._tasks.append(Task(process=process, coroutine=coroutine, due=due))

    def kill(self, process: str) -> None:
        """Nothing of the process is ever resumed."""
        for task in [task for task in self._tasks if task.process == process]:
            self._tasks.remove(task)
            task.coroutine.close()
        self._asleep_until.pop(process, None)

    def close(self) -> None:
        """The end of the world."""
        for process in {task.process: None for task in self._tasks}:
            self.kill(process)

    def sleep(self, process: str, seconds: float) -> None:
        """Nothing of the process is resumed for a while, wherever it is; then it goes on as if nothing had been."""
        self._asleep_until[process] = self._clock.monotonic() + seconds

    def wake_all(self) -> None:
        self._asleep_until.clear()

    def news(self) -> None:
        """Let those go on that wait for news."""
        now = self._clock.monotonic()
        for task in self._tasks:
            if task.waits_for_news:
                task.due = min(task.due, now)

    def is_asleep(self, process: str) -> bool:
        return self._asleep_until.get(process, 0.0) > self._clock.monotonic()

    def is_alive(self, process: str) -> bool:
        return any(task.process == process for task in self._tasks)

    def step(self, until: float) -> str | None:
        """Resume the next one due by `until`; return the process if that was its end by `Killed`.

        Raises StopIteration when nobody is due until then; the clock is at `until`.
        """
        task = min(self._tasks, key=self._due, default=None)
        now = self._clock.monotonic()
        if task is None or self._due(task) > until:
            self._clock.advance(max(0.0, until - now))
            raise StopIteration
        self._clock.advance(max(0.0, self._due(task) - now))
        try:
            wait = task.coroutine.send(None)
        except StopIteration:
            self._tasks.remove(task)
            return None
        except Killed:
            self._tasks.remove(task)
            return task.process
        task.due = self._clock.monotonic() + wait.seconds
        task.waits_for_news = wait.or_news
        return None

    def _due(self, task: Task) -> float:
        return max(task.due, self._asleep_until.get(task.process, 0.0))


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits. In the twin nothing does: its adapters are in memory."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a part of the twin waited for the real world")
