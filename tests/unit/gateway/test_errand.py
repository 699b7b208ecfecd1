"""Errands run where they are started and are like tasks otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from modelhall.gateway.errand import Errand, Wait

pytestmark = pytest.mark.anyio


def start(coroutine: Any) -> Errand:
    return Errand.start(coroutine, asyncio.get_running_loop())


async def test_what_does_not_wait_is_done_when_start_returns():
    seen = []

    async def work() -> None:
        seen.append("done")

    assert start(work()).done()
    assert seen == ["done"]


async def test_it_goes_on_in_the_midst_of_what_ends_its_wait():
    wait, seen = Wait(), []

    async def work() -> None:
        await wait
        seen.append("after")

    errand = start(work())
    assert not errand.done()
    wait.over()
    assert errand.done()
    assert seen == ["after"]


async def test_what_is_over_is_not_waited_for():
    wait = Wait()
    wait.over()

    async def work() -> None:
        await wait

    assert start(work()).done()


async def test_a_task_may_wait_too():
    wait = Wait()
    task = asyncio.create_task(_until(wait))
    await asyncio.sleep(0)
    wait.over()
    assert await task == "after"


async def _until(wait: Wait) -> str:
    await wait
    return "after"


async def test_it_may_wait_for_futures_tasks_and_time():
    seen = []

    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        wait = Wait()
        asyncio.get_running_loop().call_soon(wait.over)
        seen.append(await asyncio.create_task(_until(wait)))
        try:
            async with asyncio.timeout(0.001):
                await Wait()
        except TimeoutError:
            seen.append("too long")

    errand = start(work())
    async with asyncio.timeout(10):
        while not errand.done():
            await asyncio.sleep(0.001)
    assert seen == ["after", "too long"]


@pytest.mark.parametrize("waits_for", [Wait, asyncio.Event])
async def test_cancelled_its_wait_raises_and_nobody_wakes_it_again(waits_for: Any):
    thing, seen = waits_for(), []

    async def work() -> None:
        try:
            await (thing if isinstance(thing, Wait) else thing.wait())
        finally:
            seen.append("tidied")

    errand = start(work())
    assert errand.cancel()
    async with asyncio.timeout(10):
        while not errand.done():
            await asyncio.sleep(0)
    assert seen == ["tidied"]
    assert not errand.cancel()
    if isinstance(thing, Wait):
        thing.over()
    assert seen == ["tidied"]


async def test_one_that_cancels_itself_is_stopped_at_its_next_wait():
    seen: list[Any] = []

    async def work() -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        seen.append("goes on")
        await Wait()
        seen.append("never")

    errand = start(work())
    async with asyncio.timeout(10):
        while not errand.done():
            await asyncio.sleep(0)
    assert seen == ["goes on"]


async def test_each_is_the_current_task_while_it_runs_also_one_within_another():
    wait, seen = Wait(), []
    outside = asyncio.current_task()

    async def inner() -> None:
        await wait
        seen.append(asyncio.current_task())

    async def outer() -> None:
        wait.over()
        seen.append(asyncio.current_task())

    one = start(inner())
    other = start(outer())
    assert seen == [one, other]
    assert asyncio.current_task() is outside
