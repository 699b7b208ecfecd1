"""A call that comes again is answered as it was, and not done again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from facts import NOW
from odd_stores import ContendedStore, PoliteStore, Wire
from pydantic import TypeAdapter

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.control.declare import Outcome, Refusal
from modelhall.control.idempotency import TRIES, Once, commit_once
from modelhall.core.errors import Conflict, NotFound, NotNow, Rejected
from modelhall.core.kinds import Dataset, Document, Key, Run
from modelhall.core.ports.store import Event, Put, Store, Write

DATASET = Dataset(name="digits", source="digits.csv")
RUN = Run(name="r", command=("work",))
KEY = Key("run", "default", "r")


async def fingerprint(url: str, project: str) -> str:
    return url


async def apply(store: Store, *documents: Document, once: Once | None = None) -> list[Outcome]:
    return await declare.apply(
        store, documents, fingerprint=fingerprint, new_uid=lambda: "uid", now=NOW, once=once
    )


def once(key: str = "k", *, caller: str = "ann", request: Any = "please") -> Once:
    return Once.of(key, caller=caller, request=request)


async def names_of_events(store: Store) -> list[str]:
    return [event.name for event in await store.events()]


async def call(what: str, store: Any, once: Once) -> list[Outcome]:
    match what:
        case "apply":
            return await apply(store, DATASET, once=once)
        case "delete":
            return await declare.delete(store, KEY, now=NOW, once=once)
        case _:
            return await declare.cancel(store, KEY, now=NOW, once=once)


CALLS = pytest.mark.parametrize("what", ["apply", "delete", "cancel"])


@CALLS
def test_the_same_call_under_its_key_is_done_once_and_answered_the_same(what: str) -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, RUN)
        first = await call(what, store, once())
        after = await store.revision(), await names_of_events(store)
        for _ in range(3):
            assert await call(what, store, once()) == first
        assert (await store.revision(), await names_of_events(store)) == after

    asyncio.run(story())


@CALLS
def test_a_call_whose_reply_was_lost_is_answered_when_it_comes_again(what: str) -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, RUN)
        wire = Wire(store)
        wire.replies_to_lose = 1
        with pytest.raises(NotNow):
            await call(what, wire, once())
        after = await store.revision()
        (answer,) = await call(what, wire, once())
        assert answer.change == {"apply": "created", "delete": "removing", "cancel": "cancelling"}[what]
        assert await store.revision() == after

    asyncio.run(story())


@CALLS
def test_sixty_four_who_call_at_once_under_one_key_have_it_done_once_and_all_get_the_answer(
    what: str,
) -> None:
    async def story() -> None:
        store = PoliteStore()
        await apply(store, RUN)
        before = await store.revision()
        answers = await asyncio.gather(*(call(what, store, once()) for _ in range(64)))
        assert all(answer == answers[0] for answer in answers)
        assert await store.revision() == before + 1

    asyncio.run(story())


def test_the_answer_stays_the_same_whatever_has_happened_since() -> None:
    async def story() -> None:
        store = MemoryStore()
        first = await apply(store, DATASET, once=once())
        found = await store.get(DATASET.key)
        assert found is not None
        await store.commit([Put(resource=found.model_copy(update={"deleting": True}))])
        assert await apply(store, DATASET, once=once()) == first

    asyncio.run(story())


def test_another_request_under_a_key_that_was_used_is_refused_and_not_done() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET, once=once())
        with pytest.raises(Rejected, match="used for another request") as caught:
            await apply(store, RUN, once=once(request="something else"))
        assert caught.value.status == 422
        assert await store.find("run") == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ann", "k"), ("bob", "k")), (("ann", "k"), ("ann", "l")), (("a/b", "c"), ("a", "b/c"))],
)
def test_a_key_is_its_callers_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    async def story() -> None:
        store = MemoryStore()
        for changes, (caller, key) in ((["created"], one), (["unchanged"], other)):
            said = await apply(store, DATASET, once=once(key, caller=caller))
            assert [outcome.change for outcome in said] == changes

    asyncio.run(story())


def test_a_refusal_is_not_kept_and_the_call_may_succeed_later() -> None:
    async def story() -> None:
        store = MemoryStore()
        with pytest.raises(NotFound):
            await declare.cancel(store, KEY, now=NOW, once=once())
        with pytest.raises(Refusal):
            await apply(store, Run(name="r"), once=once("l"))
        await apply(store, RUN, once=once("l"))
        (said,) = await declare.cancel(store, KEY, now=NOW, once=once())
        assert said.change == "cancelling"

    asyncio.run(story())


def test_a_rehearsal_does_not_use_up_the_key() -> None:
    async def story() -> None:
        store = MemoryStore()
        for dry_run in (True, False):
            (said,) = await declare.apply(
                store, [DATASET], fingerprint=fingerprint, new_uid=lambda: "uid", now=NOW, dry_run=dry_run,
                once=once(),
            )  # fmt: skip
            assert said.change == "created"
        assert await store.get(DATASET.key) is not None

    asyncio.run(story())


def test_also_a_call_that_changes_nothing_is_answered_the_same_under_its_key() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET)
        assert [said.change for said in await apply(store, DATASET, once=once())] == ["unchanged"]
        await apply(store, DATASET.model_copy(update={"max_damaged": 0.5}))
        assert [said.change for said in await apply(store, DATASET, once=once())] == ["unchanged"]

    asyncio.run(story())


def test_without_a_key_a_call_is_done_as_often_as_it_comes() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, RUN)
        for _ in range(3):
            await declare.cancel(store, KEY, now=NOW)
        assert (await names_of_events(store)).count("run.cancelling") == 3

    asyncio.run(story())


def test_a_plan_is_made_anew_for_what_is_there_by_then_and_not_for_ever() -> None:
    async def story(times: int) -> int:
        store, plans = ContendedStore(times), 0

        async def write() -> None:
            event = Event(at=NOW, key=KEY, name=f"plan.{plans}", message="")
            found = await store.get(KEY)
            put = [Put(resource=found.with_status(reason=f"{plans}"))] if found else []
            await MemoryStore.commit(store, [event, *put])

        async def plan() -> tuple[Sequence[Write], int]:
            nonlocal plans
            plans += 1
            found = await store.get(KEY)
            assert found is not None
            return [Put(resource=found.with_status(reason="mine"))], plans

        await apply(store, RUN)
        store.meddle, store.times = write, times
        return await commit_once(store, plan, once=once(), answers=TypeAdapter(int), now=NOW)

    assert asyncio.run(story(0)) == 1
    assert asyncio.run(story(TRIES - 1)) == TRIES
    with pytest.raises(Conflict, match="try again"):
        asyncio.run(story(TRIES))
