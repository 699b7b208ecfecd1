"""What those who watch are told. Over HTTP in tests/unit/doors/test_watch.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.app import feed as feeds
from modelhall.app.feed import Feed, Filter, Watch
from modelhall.app.history import Ring
from modelhall.control.loop import new_resource
from modelhall.core.access import ALL, Identity
from modelhall.core.errors import Gone, NotNow
from modelhall.core.hallfile import document_from_json
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Delete, Put

ME = Identity(name="first", project="default", everywhere=ALL)
ALL = Filter(identity=ME)
DEADLINE_S = 10.0


async def put(store: MemoryStore, name: str, kind: str = "project", **fields: Any) -> int:
    """Declare a resource, or declare it anew; the revision it got."""
    document = document_from_json({"kind": kind, "name": name, **fields})
    there = await store.get(document.key)
    resource = new_resource(document, "uid", 0.0)
    if there is not None:
        resource = there.model_copy(update={"document": document, "generation": there.generation + 1})
    return (await store.commit([Put(resource=resource)]))[0].revision


async def remove(store: MemoryStore, name: str, kind: str = "project") -> None:
    there = await store.get(Key(kind, "default", name))
    assert there is not None
    await store.commit([Delete(key=there.key, revision=there.revision)])


def events(told: bytes) -> list[tuple[int, str, str]]:
    """Revision, event and name of each that was told."""
    found = []
    for block in told.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
        if "id" in fields:
            data = json.loads(fields["data"])
            found.append((int(fields["id"]), fields["event"], data.get("name", "")))
    return found


def watching(
    play: Callable[[MemoryStore, Feed], Awaitable[None]],
    *,
    store: MemoryStore | None = None,
    ring: Ring | None = None,
) -> None:
    """Play something with a feed that runs."""

    async def whole() -> None:
        kept = store or MemoryStore()
        feed = Feed(kept, ring=ring)
        running = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await play(kept, feed)
        finally:
            running.cancel()

    asyncio.run(whole())


async def following(feed: Feed) -> None:
    """Come back when the feed has begun."""
    with await feed.watch(ALL) as watch:
        await feed.store.commit([Put(resource=new_resource(document_from_json(
            {"kind": "project", "name": "begin"}), "uid", 0.0))])  # fmt: skip
        await watch.next()
    await remove(feed.store, "begin")  # type: ignore[arg-type]


async def until_told(watch: Watch, name: str) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []
    while not any(event[2] == name for event in found):
        found += events(await watch.next())
    return found


def test_a_change_is_told_to_everybody_who_watches() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL) as one, await feed.watch(ALL) as other:
            revision = await put(store, "a")
            told = [events(await watch.next()) for watch in (one, other)]
            assert told == [[(revision, "changed", "a")]] * 2

    watching(play)


def test_a_removal_is_told_without_the_resource() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await put(store, "a")
        with await feed.watch(ALL) as watch:
            await remove(store, "a")
            told = await watch.next()
            assert events(told) == [(2, "removed", "a")]
            assert b'"resource":null' in told

    watching(play)


def test_from_a_revision_on_nothing_is_left_out_and_nothing_told_twice() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await following(feed)
        at = await store.revision()
        for number in range(30):
            await put(store, f"p{number}")
        with await feed.watch(ALL, at) as watch:
            for number in range(30, 60):
                await put(store, f"p{number}")
            told = await until_told(watch, "p59")
        assert [event[2] for event in told] == [f"p{number}" for number in range(60)]

    watching(play)


@pytest.mark.parametrize("ring", [{"changes": 3}, {"size_bytes": 900}], ids=["by number", "by size"])
def test_who_is_too_far_behind_for_the_ring_is_told_from_the_store(ring: dict[str, int]) -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await following(feed)
        with await feed.watch(ALL) as watch:
            for number in range(200):
                await put(store, f"p{number}")
                await asyncio.sleep(0)
            told = await until_told(watch, "p199")
        assert [event[2] for event in told] == [f"p{number}" for number in range(200)]

    watching(play, ring=Ring(**ring))


def test_who_asks_for_a_history_that_was_forgotten_is_told_so_at_once() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await put(store, "a")
        await store.skip_to(100)
        with pytest.raises(Gone, match="not known any more"):
            await feed.watch(ALL, 1)
        with pytest.raises(Gone):
            await feed.watch(ALL, 1000)

    watching(play)


def test_who_falls_behind_all_that_is_known_is_told_so_on_the_way() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await put(store, "a")
        with await feed.watch(ALL) as watch:
            await store.skip_to(100)
            await put(store, "b")
            with pytest.raises(Gone):
                await until_told(watch, "b")
        with await feed.watch(ALL) as watch:
            await put(store, "c")
            assert events(await watch.next())[-1][2] == "c"

    watching(play)


def test_a_filter_lets_through_what_matches_in_all_it_names() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        run: dict[str, Any] = {"kind": "run", "command": ["true"]}
        runs = Filter(identity=ME, kinds=frozenset({"run"}), labels=frozenset({("team", "a")}))
        named = Filter(identity=ME, project="default", name="r2")
        with await feed.watch(runs) as by_label, await feed.watch(named) as by_name:
            await put(store, "p", labels={"team": "a"})
            await put(store, "r1", **run, labels={"team": "b"})
            await put(store, "r2", **run, labels={"team": "a", "more": "x"})
            assert [event[2] for event in await until_told(by_label, "r2")] == ["r2"]
            assert [event[2] for event in await until_told(by_name, "r2")] == ["r2"]

    watching(play)


def test_what_loses_its_label_is_removed_for_those_who_watch_by_it() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        await put(store, "a", labels={"team": "x"})
        labelled = Filter(identity=ME, labels=frozenset({("team", "x")}))
        with await feed.watch(labelled) as watch:
            await put(store, "a", labels={"team": "y"})
            assert events(await watch.next()) == [(2, "removed", "a")]

    watching(play)


def test_what_came_again_without_the_label_while_one_was_away_is_removed_too() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        at = await put(store, "a", labels={"team": "x"})
        await remove(store, "a")
        await put(store, "a")
        labelled = Filter(identity=ME, labels=frozenset({("team", "x")}))
        with await feed.watch(labelled, at) as watch:
            assert events(await watch.next()) == [(3, "removed", "a")]

    watching(play)


def test_after_a_quiet_while_one_is_told_how_far_all_has_been_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "QUIET_S", 0.0)
    monkeypatch.setattr(feeds, "LOOK_S", 0.01)

    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(Filter(identity=ME, kinds=frozenset({"run"}))) as watch:
            last = await put(store, "a")
            told: list[tuple[int, str, str]] = []
            while (last, "bookmark", "") not in told:
                told += events(await watch.next())
            assert await watch.next() == b":\n\n"

    watching(play)


def test_a_watch_that_is_ended_says_that_it_is_over() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL) as watch:
            waiting = asyncio.create_task(watch.next())
            await asyncio.sleep(0)
            watch.end()
            assert await waiting == b""

    watching(play)


def test_when_the_hall_stops_every_watch_is_over_and_none_begins() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL) as one, await feed.watch(ALL) as other:
            waiting = asyncio.create_task(one.next())
            await asyncio.sleep(0)
            feed.close()
            assert await waiting == await other.next() == b""
        with pytest.raises(NotNow, match="stopping"):
            await feed.watch(ALL)

    watching(play)


def test_who_leaves_leaves_nothing_behind() -> None:
    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL) as watch:
            waiting = asyncio.create_task(watch.next())
            await asyncio.sleep(0)
            waiting.cancel()
        assert feed._groups == {}

    watching(play)


def test_no_more_may_watch_than_can_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_WATCHERS", 1)

    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL), pytest.raises(NotNow, match="watching already"):
            await feed.watch(ALL)
        await feed.watch(ALL)

    watching(play)


class Away(MemoryStore):
    """A store that cannot be reached for a while."""

    failures = 3

    async def wait(self, after: int, timeout_s: float) -> bool:
        if self.failures:
            self.failures -= 1
            raise NotNow("the store cannot be reached", delay_s=1.0)
        return await super().wait(after, timeout_s)


def test_a_store_that_was_away_is_followed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_S", 0.0)

    async def play(store: MemoryStore, feed: Feed) -> None:
        with await feed.watch(ALL) as watch:
            await asyncio.sleep(0)
            await put(store, "a")
            assert events(await watch.next()) == [(1, "changed", "a")]

    watching(play, store=Away())
