"""What every durable store promises to those who open it again, or open it twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from store_facts import Durable, answer_of, event, history, names, new, put, run_story

from modelhall.adapters.store import open_store
from modelhall.core.errors import Broken, Rejected
from modelhall.core.ports.store import Delete, Hold, Lease


def test_reopening_finds_everything_and_goes_on_counting(hall: Durable) -> None:
    async def story() -> None:
        store = hall.open()
        a, b = await put(store, new("a"), new("b"))
        await store.commit([event("kept"), answer_of("once"), Hold(lease=Lease("here", 1, 2), before=None)])
        await store.commit([Delete(key=b.key, revision=b.revision)])
        await store.close()
        store = hall.open()
        assert await store.find("dataset") == [a]
        assert [(change.key, change.resource) for change in await history(store)] == [
            (a.key, a),
            (b.key, None),
        ]
        assert await store.events() == [event("kept")]
        assert await store.answer("once") == answer_of("once")
        assert await store.lease() == Lease("here", 1, 2)
        (c,) = await put(store, new("c"))
        assert c.revision > b.revision + 1
        await store.close()

    run_story(story())


def test_one_writes_while_another_reads(hall: Durable) -> None:
    async def story() -> None:
        writer, reader = open_store(hall.url), open_store(hall.url, writable=False)
        (a,) = await put(writer, new("a"))
        assert await reader.get(a.key) == a
        for write in (put(reader, new("b")), reader.skip_to(9)):
            with pytest.raises(Broken, match="reading"):
                await write
        await reader.close()
        await writer.close()

    run_story(story())


def test_two_who_write_take_turns_and_see_each_other(hall: Durable) -> None:
    async def story() -> None:
        one, two = hall.open(), hall.open()
        (a,) = await put(one, new("a"))
        (a,) = await put(two, a.with_status(reason="two"))
        (a,) = await put(one, a.with_status(reason="one"))
        assert await two.get(a.key) == a
        assert a.revision == 3
        await two.close()
        await one.close()

    run_story(story())


def test_a_store_that_is_closed_refuses_everything_instead_of_waiting_for_ever(hall: Durable) -> None:
    async def story() -> None:
        store = hall.open()
        (a,) = await put(store, new("a"))
        await store.close()
        for call in (put(store, new("b")), store.get(a.key), store.wait(0, 5), store.skip_to(9)):
            with pytest.raises(Broken, match="closed"):
                await call
        await store.close()

    run_story(story())


def test_what_waits_to_be_written_when_the_store_is_closed_is_written(hall: Durable) -> None:
    async def story() -> None:
        store = hall.open()
        tasks = [asyncio.create_task(put(store, new(f"d{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*tasks)
        store = hall.open()
        assert len(names(await store.find("dataset"))) == 20
        await store.close()

    run_story(story())


@pytest.mark.parametrize("url", ["hall.db", "s3://user:secret@host/hall", "user:secret@host", ""])
def test_a_url_that_leads_to_no_store_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(Rejected, match="postgresql://USER") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_psycopg_is_loaded_only_by_whoever_opens_a_postgresql_store(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["psycopg"] = None  # as if it were not installed
from modelhall.adapters.store import open_store
open_store("sqlite://" + sys.argv[1])
try:
    open_store("postgresql://user:secret@host/hall")
except Exception as error:
    print(type(error).__name__, error)
"""
    argv = [sys.executable, "-c", code, str(tmp_path / "hall.db")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Rejected")
    assert "modelhall[postgres]" in said
    assert "secret" not in said
