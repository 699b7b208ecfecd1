"""Coroutines that run where they are started: as far as one goes without waiting, it is done when `start` returns.

A `Task` takes its first step in the loop's next round, and another round for every wait. Most requests wait for one
thing, a replica's answer, and two rounds of the loop cost more than all that is decided about them. An errand takes
its first step at once, and goes on in the midst of `Wait.over`, so in what noticed that the wait is over.

It is otherwise like a task, as asyncio allows others to be (see "Task lifetime support" in the documentation of
extending it): `asyncio.timeout` and whatever else asks for the current task find the errand.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine, Generator
from typing import Any


class Errand:
    """Runs one coroutine to its end; whoever starts it sees to it that the coroutine raises nothing."""

    __slots__ = ("_awaited", "_cancels", "_coroutine", "_done", "_loop", "_must_cancel")

    def __init__(self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._awaited: Wait | asyncio.Future[Any] | None = None
        """What it waits for; None while it runs."""
        self._done = False
        self._must_cancel = False
        """Whether it was cancelled while it ran, so that its next wait raises CancelledError."""
        self._cancels = 0

    @classmethod
    def start(cls, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> Errand:
        """Run a coroutine to its first wait."""
        errand = cls(coroutine, loop)
        errand.go_on()
        return errand

    def done(self) -> bool:
        return self._done

    def go_on(self, thrown: BaseException | None = None) -> None:
        """Run to the next wait, or to the end."""
        loop = self._loop
        within = asyncio.current_task(loop)
        if within is not None:
            _leave_task(loop, within)
        _enter_task(loop, self)  # type: ignore[arg-type]
        try:
            self._run(thrown)
        finally:
            _leave_task(loop, self)  # type: ignore[arg-type]
            if within is not None:
                _enter_task(loop, within)

    def _run(self, thrown: BaseException | None) -> None:
        self._awaited = None
        try:
            awaited = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
        except (StopIteration, asyncio.CancelledError):
            self._done = True
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if awaited is None:  # a bare yield, as of `asyncio.sleep(0)`
            self._loop.call_soon(self.go_on)
            return
        self._awaited = awaited
        if isinstance(awaited, Wait):
            awaited.errand = self
        else:
            awaited._asyncio_future_blocking = (
                False  # the sign by which a future knows that its word was taken
            )
            awaited.add_done_callback(self._wake)
        if self._must_cancel:
            self._must_cancel = False
            self._interrupt()

    def _wake(self, future: asyncio.Future[Any]) -> None:
        self.go_on()  # what the future holds, it raises or returns in the coroutine

    # As of a task.

    def cancel(self, msg: object = None) -> bool:
        """Have what it waits for raise CancelledError, in the loop's next round; False when it has ended."""
        if self._done:
            return False
        self._cancels += 1
        if self._awaited is None:
            self._must_cancel = True
        else:
            self._interrupt()
        return True

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def _interrupt(self) -> None:
        awaited = self._awaited
        if isinstance(awaited, Wait):
            awaited.errand = None
            self._loop.call_soon(self.go_on, asyncio.CancelledError())
        else:
            assert awaited is not None
            awaited.cancel()


class Wait:
    """One wait for one thing. A task may wait by it as well as an errand."""

    __slots__ = ("_future", "_is_over", "errand")

    def __init__(self) -> None:
        self.errand: Errand | None = None
        """Who waits, if it is an errand."""
        self._future: asyncio.Future[None] | None = None
        self._is_over = False

    def over(self) -> None:
        """Let whoever waits go on: an errand at once, a task soon."""
        self._is_over = True
        errand, self.errand = self.errand, None
        if errand is not None:
            errand.go_on()
        elif self._future is not None and not self._future.done():
            self._future.set_result(None)

    def __await__(self) -> Generator[Any, None, None]:
        if self._is_over:
            return
        if isinstance(asyncio.current_task(), Errand):
            yield self
        else:
            self._future = asyncio.get_running_loop().create_future()
            yield from self._future.__await__()
