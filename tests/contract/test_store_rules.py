"""The expectations a commit may have of what is stored, and the other things a store keeps: leases and answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys

import pytest
from store_facts import Durable, Play, answer_of, event, history, names, new, owned, put, run_story

from modelhall.core.errors import Broken, Conflict, HallError, Rejected, Stale
from modelhall.core.kinds import Key
from modelhall.core.ports.store import Answer, Delete, Event, Hold, Lead, Lease, Need, Put, Store, Write

NOWHERE = Key("dataset", "default", "nowhere")


def test_a_write_that_needs_somebody_is_done_while_he_is_there_and_stays(play: Play) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        await store.commit([Need(key=a.key), Put(resource=new("b"))])
        await store.commit([Put(resource=new("c")), Need(key=Key("dataset", "default", "c"))])
        for needed in (NOWHERE, Key("dataset", "red", "a"), Key("run", "default", "a")):
            with pytest.raises(Conflict, match="gone"):
                await store.commit([Put(resource=new("d")), Need(key=needed)])
        (leaving,) = await put(store, a.model_copy(update={"deleting": True}))
        with pytest.raises(Conflict, match="being removed"):
            await store.commit([Need(key=a.key), Put(resource=new("d"))])
        with pytest.raises(Conflict, match="gone"):
            await store.commit([Delete(key=a.key, revision=leaving.revision), Need(key=a.key)])
        assert names(await store.find("dataset")) == ["a", "b", "c"]

    play(story)


def test_what_owns_something_is_not_removed_before_that_is(play: Play) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        (one, two) = await put(store, owned("one", a), owned("two", a))
        gone = [Delete(key=r.key, revision=r.revision) for r in (a, one, two)]
        for writes in ([gone[0]], [gone[1], gone[0]], [gone[0], gone[1], gone[2]]):
            with pytest.raises(Conflict, match=r"owns [12] that are there"):
                await store.commit(writes)
        await store.commit([gone[1], gone[2], gone[0]])
        assert await store.find("run") == await store.find("dataset") == []

    play(story)


def test_what_is_made_for_somebody_in_the_same_commit_counts_as_his(play: Play) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        with pytest.raises(Conflict, match="owns 1"):
            await store.commit([Put(resource=owned("r", a)), Delete(key=a.key, revision=a.revision)])
        (run,) = await put(store, owned("r", a))
        moved = run.document.model_copy(update={"owner": b.key.path})
        handed_on = Put(resource=run.model_copy(update={"document": moved}))
        with pytest.raises(Conflict, match="owns 1"):
            await store.commit([handed_on, Delete(key=b.key, revision=b.revision)])
        await store.commit([handed_on, Delete(key=a.key, revision=a.revision)])
        assert names(await store.find("dataset")) == ["b"]

    play(story)


def test_those_who_write_together_see_what_the_others_made(play: Play) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        outcomes = await asyncio.gather(
            put(store, owned("r", a)),
            store.commit([Delete(key=a.key, revision=a.revision)]),
            store.commit([Delete(key=b.key, revision=b.revision)]),
            store.commit([Need(key=b.key), Put(resource=owned("s", b))]),
            store.commit([answer_of("once"), Put(resource=new("c"))]),
            store.commit([answer_of("once"), Put(resource=new("d"))]),
            return_exceptions=True,
        )
        assert [isinstance(outcome, Conflict) for outcome in outcomes] == [False, True] * 3
        assert names(await store.find("dataset")) == ["a", "c"]
        assert names(await store.find("run")) == ["r"]

    play(story)


def test_what_is_not_there_cannot_be_removed(play: Play) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        gone = Delete(key=a.key, revision=a.revision)
        for writes in ([Delete(key=NOWHERE, revision=0)], [gone, Delete(key=a.key, revision=0)]):
            with pytest.raises(Conflict, match="revision 0"):
                await store.commit(writes)
        assert [change.resource for change in await history(store)] == [a]

    play(story)


def test_a_key_is_answered_once_and_the_answer_is_given_back(play: Play) -> None:
    async def story(store: Store) -> None:
        assert await store.answer("one") is None
        odd = Answer(at=0.1, once="a 'key' % é", request="", body='{"text": "中文\\u0000"}')
        await store.commit([answer_of("one", "first"), odd, Put(resource=new("a"))])
        assert await store.answer("one") == answer_of("one", "first")
        assert await store.answer(odd.once) == odd
        for writes in ([answer_of("one", "second")], [answer_of("two"), answer_of("two")]):
            with pytest.raises(Conflict, match="answered"):
                await store.commit([Put(resource=new("b")), *writes])
        assert await store.answer("one") == answer_of("one", "first")
        assert await store.answer("two") is None
        assert names(await store.find("dataset")) == ["a"]

    play(story)


def test_answers_are_kept_for_the_newest_keys_only(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("memory", "sqlite", "_postgres_writing"):
        monkeypatch.setattr(sys.modules[f"modelhall.adapters.store.{module}"], "ANSWERS_KEPT", 100)

    async def story(store: Store) -> None:
        for number in range(120):
            await store.commit([answer_of(str(number))])
        assert await store.answer("0") is None
        assert await store.answer("119") == answer_of("119")
        assert await store.answer("20") == answer_of("20")
        await store.commit([answer_of("0", "again")])
        assert await store.answer("0") == answer_of("0", "again")

    play(story)


def test_a_lease_is_taken_by_whoever_knows_the_one_before(play: Play) -> None:
    first, second = Lease("here", 1, 0), Lease("there", 2, 0)

    async def story(store: Store) -> None:
        assert await store.lease() is None
        with pytest.raises(Conflict, match="lease"):
            await store.commit([Hold(lease=second, before=first)])
        await store.commit([Hold(lease=first, before=None)])
        for before in (None, second, first._replace(beat=1), first._replace(holder="there")):
            with pytest.raises(Conflict, match="lease"):
                await store.commit([Put(resource=new("a")), Hold(lease=second, before=before)])
        await store.commit([Hold(lease=first._replace(beat=7), before=first)])
        await store.commit([Hold(lease=second, before=first._replace(beat=7))])
        assert await store.lease() == second
        assert type(await store.lease()) is Lease
        assert await store.find("dataset") == []

    play(story)


def test_whoever_leads_no_more_writes_nothing(play: Play) -> None:
    first, second = Lease("here", 1, 0), Lease("there", 2, 0)

    async def story(store: Store) -> None:
        with pytest.raises(Stale):
            await store.commit([Lead(epoch=1), Put(resource=new("a"))])
        await store.commit([Hold(lease=first, before=None), Lead(epoch=1), Put(resource=new("b"))])
        await store.commit([Hold(lease=first._replace(beat=1), before=first)])
        await store.commit([Lead(epoch=1), Put(resource=new("c"))])
        with pytest.raises(Stale):
            await store.commit([Put(resource=new("d")), event("d"), answer_of("d"), Lead(epoch=2)])
        await store.commit([Hold(lease=second, before=first._replace(beat=1))])
        with pytest.raises(Stale, match="epoch 1"):
            await store.commit([Put(resource=new("e")), event("e"), answer_of("e"), Lead(epoch=1)])
        assert names(await store.find("dataset")) == ["b", "c"]
        assert await store.events() == []
        assert [await store.answer(once) for once in "de"] == [None, None]

    play(story)


def test_of_those_who_write_together_the_one_who_just_lost_the_lead_writes_nothing(play: Play) -> None:
    first, second = Lease("here", 1, 0), Lease("there", 2, 0)

    async def story(store: Store) -> None:
        await store.commit([Hold(lease=first, before=None)])
        outcomes = await asyncio.gather(
            store.commit([Lead(epoch=1), Put(resource=new("a"))]),
            store.commit([Hold(lease=second, before=first)]),
            store.commit([Hold(lease=second._replace(holder="elsewhere"), before=first)]),
            store.commit([Lead(epoch=1), Put(resource=new("b")), event("b")]),
            store.commit([Lead(epoch=2), Put(resource=new("c"))]),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [list, list, Conflict, Stale, list]
        assert names(await store.find("dataset")) == ["a", "c"]
        assert await store.events() == []
        assert await store.lease() == second

    play(story)


def test_a_nul_in_a_message_costs_nobody_his_commit(play: Play) -> None:
    async def story(store: Store) -> None:
        told = Event(at=1.0, key=NOWHERE, name="said", message="a\0b")
        await asyncio.gather(put(store, new("a")), store.commit([told]), put(store, new("b")))
        assert names(await store.find("dataset")) == ["a", "b"]
        assert (await store.events())[0].message in ("a\0b", "a\N{REPLACEMENT CHARACTER}b")

    play(story)


def test_what_cannot_be_there_is_not_found_and_not_needed(play: Play) -> None:
    async def story(store: Store) -> None:
        for word in ("a\0", "\udcff"):
            key = Key("dataset", "default", word)
            for write in (Need(key=key), Delete(key=key, revision=1)):
                with pytest.raises(Conflict):
                    await store.commit([write])
            # Some stores do not know it, some say that nobody could.
            with contextlib.suppress(Rejected):
                assert await store.get(key) is None
            with contextlib.suppress(Rejected):
                assert await store.find("dataset", labels={"a": word}) == []
            with contextlib.suppress(Rejected):
                assert await store.answer(word) is None
        (a,) = await put(store, new("a"))
        assert await store.get(a.key) == a

    play(story)


def test_what_could_not_be_read_back_is_refused_and_what_comes_with_it_is_done(hall: Durable) -> None:
    """Such as a file name in no encoding, which Python holds as half characters."""
    good = event("good")
    wrong: list[Write] = [
        Put(resource=new("odd").with_status(reason="no file \udcff.csv")),
        Put(resource=owned("odd", NOWHERE).with_status(metrics={"loss": math.nan})),
        Put(resource=owned("odd", Key("dataset", "default", "a\0"))),
        event("odd \udcff"),
        event("odd", at=math.inf),
        event("odd", at=math.nan),
        event("odd", key=Key("dataset", "default", "a\0")),
        answer_of("odd\0"),
        answer_of("odd", body="\udcff"),
        Hold(lease=Lease("\udcff", 1, 0), before=None),
    ]

    async def story() -> None:
        store = hall.open()
        for write in wrong:
            outcomes = await asyncio.gather(
                put(store, new("before")),
                store.commit([good, write]),
                put(store, new("after")),
                return_exceptions=True,
            )
            assert isinstance(outcomes[1], Broken), write
            for outcome in (outcomes[0], outcomes[2]):
                assert isinstance(outcome, list)
                await store.commit([Delete(key=r.key, revision=r.revision) for r in outcome])
        assert await store.events() == []
        await store.close()

    run_story(story())


def test_a_number_that_is_too_large_costs_only_those_who_wrote_with_it(hall: Durable) -> None:
    async def story() -> None:
        store = hall.open()
        outcomes = await asyncio.gather(
            put(store, new("a")),
            store.commit([Hold(lease=Lease("here", 2**70, 0), before=None)]),
            put(store, new("b")),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], HallError)
        assert names(await store.find("dataset")) == ["a", "b"]
        await store.commit([Hold(lease=Lease("here", 1, 0), before=None)])
        assert await store.lease() == Lease("here", 1, 0)
        await store.close()

    run_story(story())
