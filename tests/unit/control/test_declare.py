"""Declaring: all of it or none, nothing for what is already so, and again when somebody else was quicker."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from odd_stores import ContendedStore, CountingStore

from modelhall.adapters.store.memory import MemoryStore
from modelhall.control import declare, idempotency
from modelhall.control.declare import Refusal
from modelhall.core.errors import Conflict, NotFound, Rejected
from modelhall.core.kinds import AnyResource, Dataset, Document, Key, Model, Project, Run, Service
from modelhall.core.kinds.model import Network
from modelhall.core.kinds.token import Token
from modelhall.core.kinds.user import User
from modelhall.core.ports.store import Put

DATASET = Dataset(name="digits", source="digits.csv")
MODEL = Model(name="digits", task="image-classification", data="digits", network=Network(family="cnn"))
SERVICE = Service(name="digits", model="digits")


async def fingerprint(url: str, project: str) -> str:
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
    return [
        resource for kind in ("dataset", "model", "service", "run") for resource in await store.find(kind)
    ]


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
    (dataset,) = await store.find("dataset")
    await MemoryStore.commit(store, [Put(resource=dataset.with_status(reason=f"at {dataset.revision}"))])


@pytest.mark.parametrize("times", [1, idempotency.TRIES - 1])
def test_a_write_that_somebody_else_overtook_is_made_again_on_top_of_his(times: int) -> None:
    async def story() -> None:
        store = ContendedStore()
        await apply(store, DATASET)
        store.times, store.meddle = times, lambda: _touch(store)
        assert await apply(store, DATASET.model_copy(update={"max_damaged": 0.5})) == ["changed"]
        (dataset,) = await everything(store)
        assert dataset.document.max_damaged == 0.5
        assert dataset.status.reason.startswith("at "), "what the other wrote is still there"

    asyncio.run(story())


def test_trying_again_has_an_end() -> None:
    async def story() -> None:
        store = ContendedStore()
        await apply(store, DATASET)
        store.times, store.meddle = 1000, lambda: _touch(store)
        with pytest.raises(Conflict, match="try again"):
            await apply(store, DATASET.model_copy(update={"max_damaged": 0.5}))
        with pytest.raises(Conflict, match="try again"):
            await declare.delete(store, DATASET.key, now=1.0)
        assert store.times == 1000 - 2 * idempotency.TRIES

    asyncio.run(story())


def test_what_is_named_by_others_cannot_be_removed_and_what_is_not_there_is_not_found() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET, MODEL, SERVICE)
        with pytest.raises(Conflict, match="used by service digits"):
            await declare.delete(store, MODEL.key, users=[SERVICE.key], now=1.0)
        with pytest.raises(NotFound):
            await declare.delete(store, Key("model", "default", "none"), now=1.0)
        for document, user in ((SERVICE, None), (MODEL, SERVICE), (DATASET, MODEL)):
            await declare.delete(store, document.key, users=[user.key] if user else [], now=1.0)
        assert all(resource.deleting for resource in await everything(store))

    asyncio.run(story())


def test_what_is_being_removed_cannot_be_declared_again_before_it_is_gone() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET)
        await declare.delete(store, DATASET.key, now=1.0)
        with pytest.raises(Refusal, match="being removed"):
            await apply(store, DATASET)

    asyncio.run(story())


def test_who_no_longer_names_a_resource_or_was_never_there_does_not_keep_it() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, DATASET, MODEL, DATASET.model_copy(update={"name": "other"}))
        await apply(store, MODEL.model_copy(update={"data": "other"}))
        outdated = [MODEL.key, Key("model", "default", "none")]
        (outcome,) = await declare.delete(store, DATASET.key, users=outdated, now=1.0)
        assert outcome.change == "removing"

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["node", "result"])
def test_what_the_hall_keeps_by_itself_cannot_be_removed_by_people(kind: str) -> None:
    with pytest.raises(Rejected, match="not declared by anybody"):
        asyncio.run(declare.delete(MemoryStore(), Key(kind, "default", "a"), now=1.0))


def test_with_a_user_go_his_memberships_and_tokens_and_nobody_elses() -> None:
    async def story() -> None:
        store = MemoryStore()
        team = Project(name="team", members={"ada": "admin", "bo": "editor"})
        await apply(store, User(name="ada"), User(name="bo"), team, Project(name="other"))
        await apply(store, *(Token(name=f"of-{user}", user=user, project="team") for user in ("ada", "bo")))
        await declare.delete(store, User(name="ada").key, now=1.0)
        assert {found.document.name: found.deleting for found in await store.find("token")} == {
            "of-ada": True, "of-bo": False,
        }  # fmt: skip
        left = await store.get(team.key)
        assert left is not None
        assert (left.document.members, left.generation) == ({"bo": "editor"}, 2)

    asyncio.run(story())


def test_a_project_with_something_in_it_is_not_removed() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, Project(name="team"), DATASET.model_copy(update={"project": "team"}))
        with pytest.raises(Conflict, match="not empty"):
            await declare.delete(store, Key("project", "default", "team"), now=1.0)

    asyncio.run(story())


async def _mark(store: MemoryStore, key: Key) -> None:
    """Somebody else has `key` removed."""
    found = await store.get(key)
    assert found is not None
    await MemoryStore.commit(store, [Put(resource=found.model_copy(update={"deleting": True}))])


@pytest.mark.parametrize("documents", [[SERVICE], [MODEL, SERVICE], [DATASET, MODEL, SERVICE]])
def test_what_names_a_resource_that_is_just_being_removed_is_refused(documents: list[Document]) -> None:
    async def story() -> None:
        store = ContendedStore()
        await apply(store, DATASET, MODEL)
        store.times, store.meddle = 1, lambda: _mark(store, MODEL.key)
        with pytest.raises(Refusal, match="model digits is being removed"):
            await apply(store, *documents)
        assert await store.get(SERVICE.key) is None
        assert [event.name for event in await store.events() if event.key == SERVICE.key] == []

    asyncio.run(story())


def test_nothing_is_put_into_a_project_that_is_just_being_removed() -> None:
    async def story() -> None:
        store = ContendedStore()
        team = Project(name="team")
        await apply(store, team)
        store.times, store.meddle = 1, lambda: _mark(store, team.key)
        with pytest.raises(Refusal, match="project team is being removed"):
            await apply(store, DATASET.model_copy(update={"project": "team"}))
        assert await store.find("dataset") == []

    asyncio.run(story())


def test_a_misspelt_name_is_refused_with_the_one_in_the_store_that_was_meant() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, *(DATASET.model_copy(update={"name": name}) for name in ("reviews", "digits")))
        with pytest.raises(Refusal, match="no dataset 'digit'; did you mean 'digits'"):
            await apply(store, MODEL.model_copy(update={"data": "digit"}))
        await apply(store, Project(name="team"))
        with pytest.raises(Refusal, match="no project 'teem'; did you mean 'team'"):
            await apply(store, DATASET.model_copy(update={"project": "teem"}))

    asyncio.run(story())


def test_applying_reads_what_is_named_and_not_all_there_is() -> None:
    async def reads(beside: int) -> dict[str, int]:
        store = CountingStore()
        await apply(store, Project(name="team"))
        for number in range(beside):
            beside_it = DATASET.model_copy(update={"name": f"d{number}"})
            await apply(
                store, beside_it, MODEL.model_copy(update={"name": f"m{number}", "data": f"d{number}"})
            )
        team = [document.model_copy(update={"project": "team"}) for document in (DATASET, MODEL)]
        await apply(store, *team)
        store.forget()
        assert await apply(store, *team, SERVICE.model_copy(update={"project": "team"})) == [
            "unchanged", "unchanged", "created",
        ]  # fmt: skip
        return dict(store.calls)

    few = asyncio.run(reads(1))
    assert "find" not in few
    assert asyncio.run(reads(100)) == few


def test_also_a_misspelt_name_is_looked_for_among_a_limited_number() -> None:
    async def story() -> None:
        store = CountingStore()
        with pytest.raises(Refusal):
            await apply(store, MODEL, SERVICE)
        assert store.calls["find"] > 0
        assert store.unlimited == []

    asyncio.run(story())


def test_cancelling_a_run_is_a_change_of_what_is_asked_for() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, Run(name="r", command=("work",)))
        await declare.cancel(store, Key("run", "default", "r"), now=1.0)
        (run,) = await everything(store)
        assert (run.document.cancelled, run.generation) == (True, 2)
        with pytest.raises(NotFound):
            await declare.cancel(store, Key("run", "default", "none"), now=1.0)

    asyncio.run(story())


def test_a_cancelled_run_is_resumed_as_it_was_and_no_other_is() -> None:
    async def story() -> None:
        store = MemoryStore()
        await apply(store, Run(name="r", command=("work",)))
        key = Key("run", "default", "r")
        with pytest.raises(Conflict, match="is waiting; only what is cancelled"):
            await declare.resume(store, key, now=2.0)
        await declare.cancel(store, key, now=2.0)
        found = await store.get(key)
        assert found is not None
        await store.commit(
            [Put(resource=found.with_status(state="cancelled", attempt=1, reason="cancelled"))]
        )
        (outcome,) = await declare.resume(store, key, now=3.0)
        resumed = await store.get(key)
        assert resumed is not None
        assert (outcome.change, resumed.document.cancelled) == ("resuming", False)
        assert (resumed.status.state, resumed.status.attempt, resumed.uid) == ("waiting", 1, found.uid)

    asyncio.run(story())
