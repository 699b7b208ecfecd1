"""Hedging: when an answer takes long, another is asked too, and whoever is first counts (Dean and Barroso 2013).

Only for what may be done twice, and only for services that ask for it: it costs a second replica's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from modelhall.gateway.reply import Failure


class Answer(Protocol):
    def close(self) -> None:
        """Take no more of it."""
        ...


A = TypeVar("A", bound=Answer)


async def first_of(
    one: Coroutine[Any, Any, A], another: Callable[[], Coroutine[Any, Any, A] | None], after_s: float
) -> A:
    """The answer of `one`, or, if it is not there within `after_s`, of whichever of it and `another` has one first.
    What is not needed is cancelled. Raises Failure when both fail."""
    running = {asyncio.create_task(one)}
    try:
        done, _ = await asyncio.wait(running, timeout=after_s)
        if not done and (second := another()) is not None:
            running.add(asyncio.create_task(second))
        return await _first_good(running)
    finally:
        for task in running:
            task.cancel()


async def _first_good(running: set[asyncio.Task[A]]) -> A:
    """The first of these that ends well; raises a Failure when none does."""
    pending = running
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        good = [task.result() for task in done if task.exception() is None]
        for needless in good[1:]:
            needless.close()
        if good:
            return good[0]
        for task in done:
            if not pending or not isinstance(task.exception(), Failure):
                task.result()  # raises
