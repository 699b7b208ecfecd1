"""What the SQLite store promises of its file: what becomes of one that is old, damaged, locked, or none."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from store_facts import event, history, names, new, owned, put, run_story

from modelhall.adapters.store import _sql, open_store
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.core.errors import Broken, Conflict, NotNow, Rejected
from modelhall.core.kinds import AnyResource, Dataset, Result
from modelhall.core.ports.store import Delete


def written(path: Path, *resources: AnyResource) -> list[AnyResource]:
    """Store resources in the SQLite store at `path`."""

    async def write() -> list[AnyResource]:
        store = SqliteStore(path)
        stored = await put(store, *resources)
        await store.commit([event("kept")])
        await store.close()
        return stored

    return asyncio.run(write())


def test_a_file_of_the_first_schema_is_brought_forward_with_all_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    labels = {"team": "a 'team'", "中文": "é % \\"}
    a = new("", document=Dataset(name="a", source="a.csv", labels=labels))
    runs = [owned(f"r{n}", a) for n in range(3)]
    runs[1] = runs[1].with_status(state="succeeded")
    runs[2] = runs[2].with_status(state="failed").model_copy(update={"deleting": True})
    result = new("", document=Result(name="k-1", run="r1", output={}))
    stored = first_schema(path, [a, *runs, result])

    async def story() -> None:
        store = SqliteStore(path)
        assert await store.find("dataset", labels=labels) == [stored[0]]
        assert await store.find("dataset", labels={"team": "another"}) == []
        assert await store.find("run", owner=a.key.path) == stored[1:4]
        assert names(await store.find("run", resting=True)) == ["r1"]
        assert names(await store.find("run", resting=False)) == ["r0", "r2"]
        assert names(await store.find("result", resting=True)) == ["k-1"]
        assert [change.revision for change in await history(store)] == [1, 2, 3, 4, 5, 6]
        assert (await history(store))[-1].resource is None
        assert await store.events() == [event("kept")]
        assert await store.lease() is None
        with pytest.raises(Conflict, match="owns 3"):
            await store.commit([Delete(key=a.key, revision=1)])
        (b,) = await put(store, new("b"))
        assert b.revision == 7
        await store.close()

    run_story(story())


def first_schema(path: Path, resources: list[AnyResource]) -> list[AnyResource]:
    """A file as the first hall left it: with these resources, a removal and an event."""
    stored = [r.model_copy(update={"revision": n}) for n, r in enumerate(resources, 1)]
    gone, kept = len(stored) + 1, event("kept")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((_sql.FOLDER / "sqlite-1.sql").read_text())
        rows = [(*r.key, r.revision, r.model_dump_json()) for r in stored]
        connection.executemany(
            "INSERT INTO resource VALUES (?, ?, ?, ?, ?)", [*rows, ("dataset", "default", "gone", gone, None)]
        )
        connection.execute(
            "INSERT INTO event VALUES (1, ?, ?, ?, ?, ?, ?)", (kept.at, *kept.key, kept.name, kept.message)
        )
        connection.execute("UPDATE counter SET value = ?", (gone,))
        connection.execute("PRAGMA user_version = 1")
    return stored


def test_many_who_open_one_file_at_once_bring_it_forward_once(tmp_path: Path) -> None:
    for turn in range(6):
        path = tmp_path / f"{turn}.db"
        stored = first_schema(path, [new("a")]) if turn % 2 else []
        ready = threading.Barrier(8)
        opened: list[SqliteStore] = []

        def open_it(
            path: Path = path, ready: threading.Barrier = ready, into: list[SqliteStore] = opened
        ) -> None:
            ready.wait()
            into.append(SqliteStore(path))

        threads = [threading.Thread(target=open_it) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 8

        async def story(opened: list[SqliteStore] = opened, stored: list[AnyResource] = stored) -> None:
            for store in opened:
                assert await store.find("dataset") == stored
                await store.close()

        run_story(story())


@pytest.mark.parametrize("writable", [True, False])
def test_a_file_of_a_newer_hall_is_refused(tmp_path: Path, writable: bool) -> None:
    written(tmp_path / "hall.db", new("a"))
    with contextlib.closing(sqlite3.connect(tmp_path / "hall.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(Rejected, match="999"):
        SqliteStore(tmp_path / "hall.db", writable=writable)


def test_a_file_is_named_by_a_url_with_its_whole_path(tmp_path: Path) -> None:
    (a,) = written(tmp_path / "hall.db", new("a"))

    async def story() -> None:
        store = open_store(f"sqlite://{tmp_path}/hall.db", writable=False)
        assert await store.get(a.key) == a
        await store.close()

    run_story(story())
    for url in ("sqlite://hall.db", "sqlite://"):
        with pytest.raises(Rejected, match="ABSOLUTE"):
            open_store(url)


@pytest.mark.parametrize("what", ["text", "folder", "no folder around it"])
def test_what_is_no_database_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "hall.db"
    if what == "text":
        path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    elif what == "folder":
        path.mkdir()
    else:
        path = tmp_path / "none" / "hall.db"
    with pytest.raises(Rejected, match=r"hall\.db"):
        SqliteStore(path)


def test_a_database_somebody_else_has_locked_is_not_now_and_then_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    (a,) = written(path, new("a"))

    async def story() -> None:
        store = SqliteStore(path, busy_s=0.2)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotNow, match="locked") as caught:
            await put(store, new("b"))
        assert caught.value.delay_s > 0
        assert await store.get(a.key) == a, "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        await put(store, new("b"))
        await store.close()

    asyncio.run(story())


def test_opening_a_database_somebody_else_has_locked_is_not_now(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "hall.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(NotNow, match="locked"):
        SqliteStore(tmp_path / "hall.db", busy_s=0.1)
    other.execute("ROLLBACK")
    other.close()
    written(tmp_path / "hall.db", new("a"))


def test_a_database_that_is_damaged_is_our_fault_and_no_wrong_data_comes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    written(path, *(new(f"d{number}") for number in range(200)))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    async def story() -> None:
        store = SqliteStore(path)
        with pytest.raises(Broken, match="damaged"):
            await store.find("dataset")
        with pytest.raises(Broken, match="damaged"):
            await put(store, new("more"))
        await store.close()

    asyncio.run(story())
