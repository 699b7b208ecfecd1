"""What every store finds, by what, and in what order; and what it tells those who wait."""

from __future__ import annotations

import asyncio

import pytest
from store_facts import Durable, Play, event, history, names, new, owned, put, run_story

from modelhall.core.errors import Gone
from modelhall.core.kinds import AnyResource, Dataset, Key, Result, Run
from modelhall.core.ports.store import Delete, Store

ODD_WORDS = [
    "", " ", "'", '"', "''", "%", "%%s", "%(kind)s", ":kind", "?", "\\", "\\u0041", '{"a": 1}', "null", "true",
    "1", "1.0", "é", "e\u0301", "中文", "😀", "A", "a", "a b", "a\tb", "a\nb", "\x01", "a" * 5000,
]  # fmt: skip


def labelled(name: str, project: str = "default", **labels: str) -> AnyResource:
    return new("", document=Dataset(name=name, project=project, source="x", labels=labels))


def test_all_of_a_kind_are_paged_through_in_one_order_whatever_the_page_size(play: Play) -> None:
    there = [
        ("red", "b"),
        ("red", "a"),
        ("default", "a-1"),
        ("default", "a"),
        ("default", "a1"),
        ("b-1", "z"),
    ]

    async def story(store: Store) -> None:
        await put(store, *(new(name, project) for project, name in there))
        await put(store, new("", document=Run(name="a", command=("x",))))
        for size in (1, 2, 3, 5, 6, 100, None):
            pages, after = [], None
            while page := await store.find("dataset", after=after, limit=size):
                pages += page
                after = page[-1].key
            assert [(r.key.project, r.key.name) for r in pages] == sorted(there)
        page = await store.find("dataset", "red", after=Key("dataset", "red", "a"), limit=5)
        assert names(page) == ["b"]
        assert await store.find("dataset", limit=0) == []
        # A page goes on after a place, also when nothing is there any more, or is of another kind.
        for kind in ("dataset", "run", "a"):
            assert names(await store.find("dataset", after=Key(kind, "default", "a0"), limit=1)) == ["a1"]

    play(story)


def test_what_has_all_of_the_labels_asked_for_is_found_and_nothing_else(play: Play) -> None:
    async def story(store: Store) -> None:
        await put(
            store,
            labelled("a", team="vision", tier="1"),
            labelled("b", team="vision"),
            labelled("c", "red", team="vision", tier="1", more="x"),
            labelled("d"),
        )
        assert names(await store.find("dataset", labels={"team": "vision"})) == ["a", "b", "c"]
        assert names(await store.find("dataset", labels={"team": "vision", "tier": "1"})) == ["a", "c"]
        assert names(await store.find("dataset", "red", labels={"team": "vision"})) == ["c"]
        assert names(await store.find("dataset", labels={})) == ["a", "b", "d", "c"]
        for labels in ({"team": "visio"}, {"vision": "team"}, {"team": "vision", "more": "y"}, {"none": ""}):
            assert await store.find("dataset", labels=labels) == []
        found = await store.find(
            "dataset", labels={"team": "vision"}, after=Key("dataset", "default", "a"), limit=1
        )
        assert names(found) == ["b"]

    play(story)


def test_labels_are_found_letter_by_letter_whatever_the_letters(play: Play) -> None:
    async def story(store: Store) -> None:
        values = [labelled(f"v{n}", word=word) for n, word in enumerate(ODD_WORDS)]
        keys = [labelled(f"k{n}", **{word: "x"}) for n, word in enumerate(ODD_WORDS)]
        await put(store, *values, *keys)
        for n, word in enumerate(ODD_WORDS):
            assert names(await store.find("dataset", labels={"word": word})) == [f"v{n}"]
            assert names(await store.find("dataset", labels={word: "x"})) == [f"k{n}"]

    play(story)


def test_labels_that_no_document_should_have_disturb_nobody(play: Play) -> None:
    async def story(store: Store) -> None:
        odd, _ = await asyncio.gather(put(store, labelled("odd", word="a\0b")), put(store, new("even")))
        assert await store.get(odd[0].key) == odd[0]
        assert names(await store.find("dataset", labels={"word": "a\0b"})) == ["odd"]
        assert names(await store.find("dataset")) == ["even", "odd"]

    play(story)


def test_what_was_made_for_somebody_is_found_by_him(play: Play) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        (first, *_) = await put(store, owned("a-2", a), owned("a-1", a), owned("b-1", b))
        await put(store, new("", document=Run(name="alone", command=("x",))))
        assert names(await store.find("run", owner=a.key.path)) == ["a-1", "a-2"]
        assert names(await store.find("run", "default", owner=b.key.path, limit=5)) == ["b-1"]
        assert await store.find("dataset", owner=a.key.path) == []
        assert await store.find("run", owner="dataset/default/none") == []
        moved = first.document.model_copy(update={"owner": b.key.path})
        (first,) = await put(store, first.model_copy(update={"document": moved}))
        assert names(await store.find("run", owner=b.key.path)) == ["a-2", "b-1"]
        await store.commit([Delete(key=first.key, revision=first.revision)])
        assert names(await store.find("run", owner=b.key.path)) == ["b-1"]

    play(story)


def test_what_changed_last_comes_first(play: Play) -> None:
    async def story(store: Store) -> None:
        runs = [new("", document=Run(name=f"r{n}", command=("x",))) for n in range(3)]
        (first, second, third) = await put(store, *runs)
        await put(store, new("data"), new("", document=Run(name="other", project="red", command=("x",))))
        (first,) = await put(store, first.with_status(state="failed"))
        assert names(await store.latest("run", limit=10)) == ["r0", "other", "r2", "r1"]
        assert names(await store.latest("run", "default", limit=2)) == ["r0", "r2"]
        assert names(await store.latest("run", before=third.revision, limit=10)) == ["r1"]
        assert names(await store.latest("run", state="failed", limit=10)) == ["r0"]
        assert await store.latest("run", "red", state="failed", limit=10) == []
        await store.commit([Delete(key=second.key, revision=second.revision)])
        assert names(await store.latest("run", before=first.revision, limit=10)) == ["other", "r2"]

    play(story)


def test_what_is_at_rest_is_told_from_what_is_not(play: Play) -> None:
    async def story(store: Store) -> None:
        runs = [new("", document=Run(name=f"r{n}", command=("x",))) for n in range(4)]
        done = runs[1].with_status(state="succeeded")
        leaving = runs[2].with_status(state="failed").model_copy(update={"deleting": True})
        await put(store, runs[0], done, leaving, runs[3])
        await put(store, new("", document=Result(name="k-1", run="r", output={})), new("d"))
        assert names(await store.find("run", resting=False)) == ["r0", "r2", "r3"]
        assert names(await store.find("run", resting=True)) == ["r1"]
        assert names(await store.find("run")) == ["r0", "r1", "r2", "r3"]
        assert names(await store.find("result", resting=True)) == ["k-1"]
        assert await store.find("result", resting=False) == await store.find("dataset", resting=True) == []
        assert names(await store.find("run", resting=False, after=Key("run", "default", "r0"), limit=1)) == [
            "r2"
        ]

    play(story)


def test_the_feed_says_gone_to_whoever_missed_removals_that_are_forgotten(play: Play) -> None:
    async def story(store: Store) -> None:
        stored = await put(store, *(new(f"d{n}") for n in range(6)))
        seen = [await store.revision()]
        for resource in stored[:5]:
            await store.commit([Delete(key=resource.key, revision=resource.revision)])
            seen.append(await store.revision())
        for revision in seen[:3]:
            if revision < seen[3]:
                with pytest.raises(Gone, match=str(revision)):
                    await store.changes(revision)
        for place in (3, 4, 5):
            assert [change.key.name for change in await store.changes(seen[place])] == [
                f"d{n}" for n in range(place, 5)
            ]
        # Whoever begins needs no removals.
        assert next(change.key.name for change in await history(store)) == "d5"

    play(story, removals_kept=2)


def test_removals_of_what_came_back_are_not_among_those_that_are_kept(play: Play) -> None:
    async def story(store: Store) -> None:
        (keep,) = await put(store, new("keep"))
        for _ in range(5):
            (back,) = await put(store, new("back"))
            await store.commit([Delete(key=back.key, revision=back.revision)])
        assert [change.key.name for change in await store.changes(keep.revision)] == ["back"]

    play(story, removals_kept=1)


def test_the_feed_says_gone_to_whoever_is_ahead_of_the_store(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await store.changes(0) == []
        for ahead in (1, 2**62, 2**80):
            with pytest.raises(Gone):
                await store.changes(ahead)
        (a,) = await put(store, new("a"))
        assert await store.changes(a.revision) == []
        with pytest.raises(Gone):
            await store.changes(a.revision + 1)

    play(story)


def test_a_store_that_skips_goes_on_above_and_tells_all_who_followed_to_read_anew(play: Play) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        await store.skip_to(1000)
        assert await store.revision() == 1000
        for before in (a.revision, b.revision, 999):
            with pytest.raises(Gone):
                await store.changes(before)
        assert [change.resource for change in await store.changes(0)] == [a, b]
        (c,) = await put(store, new("c"))
        assert c.revision == 1001
        assert [change.resource for change in await store.changes(1000)] == [c]
        (a,) = await put(store, a.with_status(reason="still ours"))
        assert a.revision == 1002

    play(story)


def test_a_store_never_skips_back(play: Play) -> None:
    async def story(store: Store) -> None:
        await store.skip_to(1000)
        stored = await put(store, *(new(f"d{n}") for n in range(5)))
        await store.skip_to(1002)
        assert await store.revision() == 1005
        (again,) = await put(store, stored[0].with_status(reason="again"))
        assert again.revision == 1006
        assert names(await store.find("dataset")) == [f"d{n}" for n in range(5)]
        # Neither does what is forgotten come back when more removals are.
        for resource in [again, *stored[1:]]:
            await store.commit([Delete(key=resource.key, revision=resource.revision)])
        with pytest.raises(Gone):
            await store.changes(999)

    play(story, removals_kept=1)


def test_whoever_waits_is_woken_by_the_change_he_waits_for(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await store.wait(0, 0.01) is False
        waiting = [asyncio.create_task(store.wait(after, 30)) for after in (0, 0, 1)]
        await asyncio.sleep(0.05)
        await store.commit([event("no change")])
        await put(store, new("a"))
        assert await asyncio.gather(*waiting[:2]) == [True, True]
        assert not waiting[2].done()
        await put(store, new("b"))
        assert await waiting[2] is True
        assert await store.wait(1, 30) is True, "it had happened before"
        assert await store.wait(2, 0.0) is False

    play(story)


def test_whoever_waits_is_woken_when_the_store_skips(play: Play) -> None:
    async def story(store: Store) -> None:
        waiting = asyncio.create_task(store.wait(0, 30))
        await asyncio.sleep(0.05)
        await store.skip_to(7)
        assert await waiting is True

    play(story)


def test_whoever_waits_can_be_stopped_at_the_very_moment_there_is_news(play: Play) -> None:
    async def story(store: Store) -> None:
        for moments in range(12):
            waiting = asyncio.create_task(store.wait(1000, 30))
            await asyncio.sleep(0.02)
            writing = asyncio.create_task(put(store, new(f"d{moments}")))
            while not writing.done():
                await asyncio.sleep(0)
            for _ in range(moments):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting], timeout=2)
            assert waiting.cancelled(), moments

    play(story)


def test_whoever_waits_is_woken_by_what_another_one_writes(hall: Durable) -> None:
    async def story() -> None:
        writer, other, reader = hall.open(), hall.open(), hall.open(writable=False)
        for number in range(3):
            waiting = [asyncio.create_task(store.wait(number, 30)) for store in (other, reader)]
            await asyncio.sleep(0.05)
            await put(writer, new(f"d{number}"))
            assert await asyncio.gather(*waiting) == [True, True]
        for store in (writer, other, reader):
            await store.close()

    run_story(story())
