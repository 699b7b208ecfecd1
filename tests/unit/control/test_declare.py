"""Declaring: all of it or none, nothing for what is already so, and again when somebody else was quicker."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare
from modelhall.control.declare import Refusal
from modelhall.core.errors import Conflict, NotFound, Rejected
from modelhall.core.kinds import AnyResource, Dataset, Document, Key, Model, Run, Service
from modelhall.core.kinds.model import Network
from modelhall.core.ports.store import Put, Write

DATASET = Dataset(name="digits", source="digits.csv")
MODEL = Model(name="digits", task="image-classification", data="digits", network=Network(family="cnn"))
SERVICE = Service(name="digits", model="digits")


class Contended(MemoryStore):
    """A store to which somebody else writes just before each of the first `times` commits."""

    def __init__(self, times: int = 0) -> None:
        super().__init__()
        self.times = times
        self.meddle: Callable[[MemoryStore], Any] | None = None

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self.times > 0 and self.meddle is not None:
            self.times -= 1
            await self.meddle(super())  # type: ignore[arg-type]
        return await super().commit(writes)


async def fingerprint(url: str) -> str:
    if url == "missing.csv":
        raise Rejected(f"no file at {url}")
    return url


UIDS = map(str, itertools.count())


async def apply(store: MemoryStore, *documents: Document, dry_run: bool = False) -> list[str]:
    outcomes = await declare.apply(
        store, documents, fingerprint=fingerprint, new_uid=lambda: next(UIDS), now=1.0, dry_run=dry_run
    )
    return [outcome.change for outcome in outcomes]


async def everything(store: MemoryStore) -> list[AnyResource]:
    return [resource for kind in ("dataset", "model", "service", "run") for resource in await store.all(kind)]


def test_what_is_new_is_created_what_differs_is_changed_and_what_is_so_is_left_alone() -> None:
    async def story() -> None:
        store = MemoryStore()
        assert await apply(store, DATASET, MODEL) == ["created", "created"]
        before = await everything(store)
        assert await apply(store, DATASET, MODEL) == ["unchanged", "unchanged"]
        assert await everything(store) == before
        assert await apply(store, DATASET, MODEL.model_copy(update={"require": {"accuracy": ">= 0.9"}})) == [
            "unchanged", "changed",
        ]  # fmt: skip
        dataset, model = await everything(store)
        assert dataset == before[0]
        assert (model.generation, model.uid) == (2, before[1].uid)
        assert model.revision > before[1].revision

    asyncio.run(story())


@pytest.mark.parametrize(
    ("documents", "place", "field"),
    [
        ([DATASET, SERVICE], 1, "model"),
        ([DATASET, MODEL, DATASET], 2, "name"),
        ([DATASET, Dataset(name="b", source="missing.csv")], 1, "source"),
        ([DATASET, Dataset(name="a", source="dataset://b"), Dataset(name="b", source="dataset://a")], 1, "source"),
        ([DATASET, Run(name="r")], 1, "command"),
    ],
)  # fmt: skip
def test_one_document_that_is_refused_stores_none_and_is_named(
    documents: list[Document], place: int, field: str
) -> None:
    async def story() -> None:
        store = MemoryStore()
        with pytest.raises(Refusal) as caught:
            await apply(store, *documents)
        assert (caught.value.place, caught.value.reason.field) == (place, field)
        assert await everything(store) == []
        assert await store.events() == []

    asyncio.run(story())


def test_a_rehearsal_says_what_would_change_and_changes_nothing() -> None:
    async def story() -> None:
        store = MemoryStore()
        assert await apply(store, DATASET, dry_run=True) == ["created"]
        assert await everything(store) == []

    asyncio.run(story())


async def _touch(store: MemoryStore) -> None:
    (dataset,) = await store.all("dataset")
    await MemoryStore.commit(store, [Put(resource=dataset.with_status(reason=f"at {dataset.revision}"))])


@pytest.mark.parametrize("times", [1, declare.TRIES - 1])
def test_a_write_that_somebody_else_overtook_is_made_again_on_top_of_his(times: int) -> None:
    async def story() -> None:
        store = Contended()
        await apply(store, DATASET)
        store.times, store.meddle = times, lambda _: _touch(store)
        assert await apply(store, DATASET.model_copy(update={"max_damaged": 0.5})) == ["changed"]
        (dataset,) = await everything(store)
        assert dataset.document.max_damaged == 0.5
        assert dataset.status.reason.startswith("at "), "what the other wrote is still there"

    asyncio.run(story())


def test_trying_again_has_an_end() -> None:
    async def story() -> None:
        store = Contended()
        await apply(store, DATASET)
        store.times, store.meddle = 1000, lambda _: _touch(store)
        with pytest.raises(Conflict, match="try again"):
            await apply(store, DATASET.model_copy(update={"max_damaged": 0.5}))
        with pytest.raises(Conflict, match="try again"):
            await declare.delete(store, DATASET.key, 1.0)
        assert store.times == 1000 - 2 * declare.TRIES

    asyncio.run(story())


def test_what_is_named_by_others_cannot_be_removed_and_what_is_not_there_is_not_found() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET, MODEL, SERVICE)
        with pytest.raises(Conflict, match="used by service digits"):
            await declare.delete(store, MODEL.key, 1.0)
        with pytest.raises(NotFound):
            await declare.delete(store, Key("model", "default", "none"), 1.0)
        for document in (SERVICE, MODEL, DATASET):
            await declare.delete(store, document.key, 1.0)
        assert all(resource.deleting for resource in await everything(store))

    asyncio.run(story())


def test_what_is_being_removed_cannot_be_declared_again_before_it_is_gone() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET)
        await declare.delete(store, DATASET.key, 1.0)
        with pytest.raises(Refusal, match="being removed"):
            await apply(store, DATASET)

    asyncio.run(story())


def test_cancelling_a_run_is_a_change_of_what_is_asked_for() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, Run(name="r", command=("work",)))
        await declare.cancel(store, Key("run", "default", "r"), 1.0)
        (run,) = await everything(store)
        assert (run.document.cancelled, run.generation) == (True, 2)
        with pytest.raises(NotFound):
            await declare.cancel(store, Key("run", "default", "none"), 1.0)

    asyncio.run(story())
