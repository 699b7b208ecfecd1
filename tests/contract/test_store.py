"""What every store promises of what is put into it, and of its feed. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import itertools
import pkgutil
from typing import Any

import pytest
from store_facts import KINDS_OF_STORE, Play, event, history, new, put

from modelhall.adapters import store as stores
from modelhall.core.errors import Conflict
from modelhall.core.kinds import AnyResource, Key, Model, Problem, Run
from modelhall.core.kinds.model import Network
from modelhall.core.ports.store import Delete, Put, Store, Unread, Write
from modelhall.core.references import references


def test_every_store_there_is_is_tested() -> None:
    found = {module.name for module in pkgutil.iter_modules(stores.__path__)}
    assert {name for name in found if not name.startswith("_")} == set(KINDS_OF_STORE)


def test_what_was_put_is_read_back_as_it_was_with_its_new_revision(play: Play) -> None:
    run = new("", document=Run(name="r", command=("python", "-c", "print('é')"), labels={"a": "中文"}))
    run = run.with_status(problem=Problem(message="no", who="us"), metrics={"loss": 1e-300})

    async def story(store: Store) -> None:
        (stored,) = await put(store, run)
        assert stored == run.model_copy(update={"revision": stored.revision})
        assert stored.revision > 0
        found = await store.get(run.key)
        assert (found, type(found)) == (stored, type(run))

    play(story)


def test_what_is_not_there_is_not_found(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await store.get(Key("dataset", "default", "a")) is None
        assert await store.find("dataset") == []
        assert await store.changes(0) == []
        assert await store.events() == []
        assert await store.commit([]) == []

    play(story)


def test_a_write_that_rests_on_another_revision_is_refused(play: Play) -> None:
    async def story(store: Store) -> None:
        (first,) = await put(store, new("a"))
        (second,) = await put(store, first.with_status(state="ready"))
        wrong: list[Write] = [
            Put(resource=new("a")),
            Put(resource=first),
            Put(resource=second.model_copy(update={"revision": second.revision + 1})),
            Put(resource=new("b").model_copy(update={"revision": 1})),
            Delete(key=first.key, revision=first.revision),
            Delete(key=Key("dataset", "default", "none"), revision=1),
        ]
        for write in wrong:
            with pytest.raises(Conflict, match="revision"):
                await store.commit([write])
        assert await store.find("dataset") == [second]

    play(story)


def test_a_batch_with_a_conflict_leaves_nothing_of_itself(play: Play) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        (newer,) = await put(store, b.with_status(state="ready"))
        before = await history(store)
        batch: list[Write] = [
            Put(resource=new("c")), Put(resource=a.with_status(state="failed")), event("lost"),
            Delete(key=a.key, revision=a.revision), Put(resource=b),
        ]  # fmt: skip
        for writes in (batch, [*batch[:3], batch[4]]):
            with pytest.raises(Conflict):
                await store.commit(writes)
        assert await store.find("dataset") == [a, newer]
        assert await history(store) == before
        assert await store.events() == []

    play(story)


def test_two_writes_of_one_batch_to_one_resource_are_judged_in_their_order(
    play: Play,
) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        gone = Delete(key=a.key, revision=a.revision)
        batches: list[list[Write]] = [
            [gone, gone],
            [Put(resource=a), gone],
            [Put(resource=new("b"))] * 2,
            [Put(resource=a)] * 2,
        ]
        for writes in batches:
            with pytest.raises(Conflict):
                await store.commit(writes)
            assert await store.find("dataset") == [a]
        (again,) = await store.commit([gone, Put(resource=new("a"))])
        assert await store.find("dataset") == [again]
        assert again.revision > a.revision

    play(story)


def test_what_was_deleted_is_gone_and_its_name_is_free(play: Play) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        assert await store.commit([Delete(key=a.key, revision=a.revision)]) == []
        assert await store.get(a.key) is None
        assert await store.find("dataset") == []
        with pytest.raises(Conflict):
            await put(store, a)
        (again,) = await put(store, new("a"))
        assert again.revision > a.revision + 1, "the deletion had a revision of its own"

    play(story)


def test_all_of_a_kind_are_listed_by_project_and_name(play: Play) -> None:
    names = [("b", "red"), ("a", "red"), ("a-1", "default"), ("a", "default"), ("a1", "default")]

    async def story(store: Store) -> None:
        await put(store, *(new(name, project) for name, project in names))
        await put(store, new("", document=Run(name="a", command=("x",))))
        listed = [(r.key.project, r.key.name) for r in await store.find("dataset")]
        assert listed == sorted((project, name) for name, project in names)
        assert [r.key.name for r in await store.find("dataset", "red")] == ["a", "b"]
        assert await store.find("dataset", "none") == []

    play(story)


def test_the_feed_tells_every_change_once_in_order_from_any_revision(play: Play) -> None:
    async def story(store: Store) -> None:
        stored = [(await put(store, new(f"d{number}")))[0] for number in range(7)]
        whole = await history(store)
        assert [change.resource for change in whole] == stored
        assert [change.revision for change in whole] == [resource.revision for resource in stored]
        for limit in (1, 2, 100):
            assert await history(store, limit=limit) == whole
        for place, change in enumerate(whole):
            assert await history(store, change.revision) == whole[place + 1 :]
        assert await history(store, whole[-1].revision) == []

    play(story)


def test_whoever_follows_the_feed_ends_with_what_is_stored(play: Play) -> None:
    """Changes may be told together, but the newest state of each resource is told, and every removal."""

    async def story(store: Store) -> None:
        mirrors: list[tuple[int, dict[Key, AnyResource]]] = [(0, {})]
        for number in range(40):
            key = Key("dataset", "default", f"d{number * 7 % 5}")
            found = await store.get(key)
            if found is None:
                await put(store, new(key.name))
            elif number % 3 == 0:
                await store.commit([Delete(key=key, revision=found.revision)])
            else:
                await put(store, found.with_status(reason=str(number)))
            if number % 4 == 0:
                # Somebody who has seen everything until here.
                mirror: dict[Key, AnyResource] = {}
                mirrors.append((await _follow(store, 0, mirror), mirror))
        there = {resource.key: resource for resource in await store.find("dataset")}
        for revision, mirror in mirrors:
            await _follow(store, revision, mirror)
            assert mirror == there

    async def _follow(store: Store, revision: int, mirror: dict[Key, AnyResource]) -> int:
        for change in await history(store, revision, limit=3):
            assert change.revision > revision
            revision = change.revision
            if change.resource is None:
                mirror.pop(change.key, None)
            else:
                assert change.resource.revision == change.revision
                mirror[change.key] = change.resource
        return revision

    play(story)


def test_events_are_told_newest_first_and_of_one_resource_if_asked(play: Play) -> None:
    a, b = Key("run", "default", "a"), Key("run", "red", "a")

    async def story(store: Store) -> None:
        await store.commit([event("one", a), event("two", b)])
        await store.commit([Put(resource=new("x")), event("three", a, at=0.5)])
        assert await store.events() == [event("three", a, at=0.5), event("two", b), event("one", a)]
        assert [found.name for found in await store.events(a)] == ["three", "one"]
        assert [found.name for found in await store.events(limit=1)] == ["three"]
        assert await store.events(Key("run", "default", "none")) == []

    play(story)


def test_concurrent_writers_lose_nothing_and_never_share_a_revision(play: Play) -> None:
    async def story(store: Store) -> None:
        await put(store, new("shared"))

        async def writer(number: int) -> list[int]:
            revisions, key = [], Key("dataset", "default", "shared")
            (own,) = await put(store, new(f"own-{number}"))
            revisions.append(own.revision)
            for _ in range(1000):
                shared = await store.get(key)
                assert shared is not None
                labels = {**shared.document.labels, str(number): "here"}
                document = shared.document.model_copy(update={"labels": labels})
                try:
                    (mine,) = await put(store, shared.model_copy(update={"document": document}))
                except Conflict:
                    continue
                return [*revisions, mine.revision]
            raise AssertionError("never got through")

        written = list(itertools.chain(*await asyncio.gather(*map(writer, range(64)))))
        assert len(set(written)) == len(written) == 128
        shared = await store.get(Key("dataset", "default", "shared"))
        assert shared is not None
        assert shared.document.labels.keys() == {str(number) for number in range(64)}
        assert len(await store.find("dataset")) == 65

    play(story)


def test_a_conflict_of_one_writer_does_not_touch_those_who_write_with_him(
    play: Play,
) -> None:
    async def story(store: Store) -> None:
        (_taken,) = await put(store, new("taken"))
        tries = [put(store, new(f"d{n}") if n % 2 else new("taken")) for n in range(64)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert [isinstance(outcome, Conflict) for outcome in outcomes] == [n % 2 == 0 for n in range(64)]
        assert len(await store.find("dataset")) == 33

    play(story)


def test_a_writer_who_gives_up_waiting_disturbs_nobody(play: Play) -> None:
    async def story(store: Store) -> None:
        tasks = [asyncio.create_task(put(store, new(f"d{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (after,) = await asyncio.wait_for(put(store, new("after")), 10)
        assert await store.get(after.key) == after
        assert {f"d{number}" for number in range(1, 50, 2)} <= {
            r.key.name for r in await store.find("dataset")
        }

    play(story)


def test_what_is_alive_is_found_page_by_page_and_what_is_settled_reads_as_it_was_put(play: Play) -> None:
    async def story(store: Store) -> None:
        model = Model(name="m", task="fill-mask", data="a", network=Network(family="bert"))
        (unsettled, *both) = await put(store, new("b"), new("a"), new("", document=model))
        ready = [one.with_status(state="ready", observed_generation=1) for one in both]
        data, settled = await put(store, *ready)
        (run,) = await put(store, new("", document=Run(name="r", command=("work",))))
        await put(store, run.with_status(state="succeeded"))

        async def alive(kind: str, **which: Any) -> list[AnyResource]:
            found = await store.alive(kind, **which)
            for one in found:
                if isinstance(one, Unread):
                    assert one.names == tuple(references(one.read().document).values())
            read = [one.read() if isinstance(one, Unread) else one for one in found]
            assert [(one.key, one.revision) for one in found] == [(one.key, one.revision) for one in read]
            return read

        assert await alive("dataset") == [data, unsettled]
        assert await alive("dataset", limit=1) == [data]
        assert await alive("dataset", after=data.key, limit=1) == [unsettled]
        assert await alive("model") == [settled]
        assert await alive("run") == []

    play(story)
