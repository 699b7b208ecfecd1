"""What every store promises, and what a durable one promises on top. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import itertools
import os
import pkgutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from modelhall.adapters import store as stores
from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.core.errors import Broken, Conflict, NotNow, Rejected
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Document, Key, Problem, Run
from modelhall.core.ports.store import Change, Delete, Event, Put, Store, Write

OPENED: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "hall.db"),
}
Story = Callable[[Store], Coroutine[Any, Any, None]]


def test_every_store_there_is_is_tested() -> None:
    assert {module.name for module in pkgutil.iter_modules(stores.__path__)} == OPENED.keys()


@pytest.fixture(params=OPENED)
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Plays a story in a fresh store and closes it."""

    async def go(story: Story) -> None:
        store = OPENED[request.param](tmp_path)
        await story(store)
        await store.close()

    return lambda story: asyncio.run(asyncio.wait_for(go(story), 60))


def new(name: str, project: str = "default", document: Document | None = None) -> AnyResource:
    """A resource nobody has stored yet."""
    document = document or Dataset(name=name, project=project, source=f"{name}.csv")
    kind = KINDS[document.kind]
    return kind.resource(document=document, status=kind.status(), uid=name, created_at=1.5, updated_at=2.5)


def event(name: str, key: Key = Key("dataset", "default", "a"), at: float = 1.0) -> Event:
    return Event(at=at, key=key, name=name, message=f"{name} happened — 中文")


async def put(store: Store, *resources: AnyResource) -> list[AnyResource]:
    return await store.commit([Put(resource=resource) for resource in resources])


async def history(store: Store, after: int = 0, limit: int = 1000) -> list[Change]:
    """All changes after a revision, read page by page."""
    found: list[Change] = []
    while page := await store.changes(found[-1].revision if found else after, limit):
        assert len(page) <= limit
        found += page
    return found


def test_what_was_put_is_read_back_as_it_was_with_its_new_revision(play: Callable[[Story], None]) -> None:
    run = new("", document=Run(name="r", command=("python", "-c", "print('é')"), labels={"a": "中文"}))
    run = run.with_status(problem=Problem(message="no", who="us"), metrics={"loss": 1e-300})

    async def story(store: Store) -> None:
        (stored,) = await put(store, run)
        assert stored == run.model_copy(update={"revision": stored.revision})
        assert stored.revision > 0
        found = await store.get(run.key)
        assert (found, type(found)) == (stored, type(run))

    play(story)


def test_what_is_not_there_is_not_found(play: Callable[[Story], None]) -> None:
    async def story(store: Store) -> None:
        assert await store.get(Key("dataset", "default", "a")) is None
        assert await store.all("dataset") == []
        assert await store.changes(0) == []
        assert await store.events() == []
        assert await store.commit([]) == []

    play(story)


def test_a_write_that_rests_on_another_revision_is_refused(play: Callable[[Story], None]) -> None:
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
        assert await store.all("dataset") == [second]

    play(story)


def test_a_batch_with_a_conflict_leaves_nothing_of_itself(play: Callable[[Story], None]) -> None:
    async def story(store: Store) -> None:
        (a, b) = await put(store, new("a"), new("b"))
        (newer,) = await put(store, b.with_status(state="ready"))
        before = await history(store)
        batch = [
            Put(resource=new("c")), Put(resource=a.with_status(state="failed")), event("lost"),
            Delete(key=a.key, revision=a.revision), Put(resource=b),
        ]  # fmt: skip
        for writes in (batch, [*batch[:3], batch[4]]):
            with pytest.raises(Conflict):
                await store.commit(writes)
        assert await store.all("dataset") == [a, newer]
        assert await history(store) == before
        assert await store.events() == []

    play(story)


def test_two_writes_of_one_batch_to_one_resource_are_judged_in_their_order(
    play: Callable[[Story], None],
) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        gone = Delete(key=a.key, revision=a.revision)
        for writes in (
            [gone, gone],
            [Put(resource=a), gone],
            [Put(resource=new("b"))] * 2,
            [Put(resource=a)] * 2,
        ):
            with pytest.raises(Conflict):
                await store.commit(writes)
            assert await store.all("dataset") == [a]
        (again,) = await store.commit([gone, Put(resource=new("a"))])
        assert await store.all("dataset") == [again]
        assert again.revision > a.revision

    play(story)


def test_what_was_deleted_is_gone_and_its_name_is_free(play: Callable[[Story], None]) -> None:
    async def story(store: Store) -> None:
        (a,) = await put(store, new("a"))
        assert await store.commit([Delete(key=a.key, revision=a.revision)]) == []
        assert await store.get(a.key) is None
        assert await store.all("dataset") == []
        with pytest.raises(Conflict):
            await put(store, a)
        (again,) = await put(store, new("a"))
        assert again.revision > a.revision + 1, "the deletion had a revision of its own"

    play(story)


def test_all_of_a_kind_are_listed_by_project_and_name(play: Callable[[Story], None]) -> None:
    names = [("b", "red"), ("a", "red"), ("a-1", "default"), ("a", "default"), ("a1", "default")]

    async def story(store: Store) -> None:
        await put(store, *(new(name, project) for name, project in names))
        await put(store, new("", document=Run(name="a", command=("x",))))
        listed = [(r.key.project, r.key.name) for r in await store.all("dataset")]
        assert listed == sorted((project, name) for name, project in names)
        assert [r.key.name for r in await store.all("dataset", "red")] == ["a", "b"]
        assert await store.all("dataset", "none") == []

    play(story)


def test_the_feed_tells_every_change_once_in_order_from_any_revision(play: Callable[[Story], None]) -> None:
    async def story(store: Store) -> None:
        stored = [(await put(store, new(f"d{number}")))[0] for number in range(7)]
        whole = await history(store)
        assert [change.resource for change in whole] == stored
        assert [change.revision for change in whole] == [resource.revision for resource in stored]
        for limit in (1, 2, 100):
            assert await history(store, limit=limit) == whole
        for place, change in enumerate(whole):
            assert await history(store, change.revision) == whole[place + 1 :]
        assert await history(store, whole[-1].revision + 100) == []

    play(story)


def test_whoever_follows_the_feed_ends_with_what_is_stored(play: Callable[[Story], None]) -> None:
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
                mirrors.append((await _follow(store, 0, mirror := {}), mirror))
        there = {resource.key: resource for resource in await store.all("dataset")}
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


def test_events_are_told_newest_first_and_of_one_resource_if_asked(play: Callable[[Story], None]) -> None:
    a, b = Key("run", "default", "a"), Key("run", "red", "a")

    async def story(store: Store) -> None:
        await store.commit([event("one", a), event("two", b)])
        await store.commit([Put(resource=new("x")), event("three", a, at=0.5)])
        assert await store.events() == [event("three", a, at=0.5), event("two", b), event("one", a)]
        assert [found.name for found in await store.events(a)] == ["three", "one"]
        assert [found.name for found in await store.events(limit=1)] == ["three"]
        assert await store.events(Key("run", "default", "none")) == []

    play(story)


def test_concurrent_writers_lose_nothing_and_never_share_a_revision(play: Callable[[Story], None]) -> None:
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
        assert len(await store.all("dataset")) == 65

    play(story)


def test_a_conflict_of_one_writer_does_not_touch_those_who_write_with_him(
    play: Callable[[Story], None],
) -> None:
    async def story(store: Store) -> None:
        (_taken,) = await put(store, new("taken"))
        tries = [put(store, new(f"d{n}") if n % 2 else new("taken")) for n in range(64)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert [isinstance(outcome, Conflict) for outcome in outcomes] == [n % 2 == 0 for n in range(64)]
        assert len(await store.all("dataset")) == 33

    play(story)


def test_a_writer_who_gives_up_waiting_disturbs_nobody(play: Callable[[Story], None]) -> None:
    async def story(store: Store) -> None:
        tasks = [asyncio.create_task(put(store, new(f"d{number}"))) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (after,) = await asyncio.wait_for(put(store, new("after")), 10)
        assert await store.get(after.key) == after
        assert {f"d{number}" for number in range(1, 50, 2)} <= {
            r.key.name for r in await store.all("dataset")
        }

    play(story)


def test_words_that_no_file_can_hold_are_refused_and_the_next_write_is_done(tmp_path: Path) -> None:
    """Such as a file name in no encoding, which Python holds as half characters."""

    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db")
        odd = new("odd").with_status(reason="no file \udcff.csv")
        for writes in ([Put(resource=odd)], [event("odd \udcff")]):
            outcomes = await asyncio.gather(
                put(store, new("before")),
                store.commit(writes),
                put(store, new("after")),
                return_exceptions=True,
            )
            assert isinstance(outcomes[1], Broken)
            for outcome in (outcomes[0], outcomes[2]):
                assert isinstance(outcome, list)
                await store.commit([Delete(key=r.key, revision=r.revision) for r in outcome])
        await store.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_store_that_is_closed_refuses_writes_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db")
        await put(store, new("a"))
        await store.close()
        with pytest.raises(Broken, match="closed"):
            await put(store, new("b"))

    asyncio.run(asyncio.wait_for(story(), 10))


def written(path: Path, *resources: AnyResource) -> list[AnyResource]:
    """Store resources in the SQLite store at `path`."""

    async def write() -> list[AnyResource]:
        store = SqliteStore(path)
        stored = await put(store, *resources)
        await store.commit([event("kept")])
        await store.close()
        return stored

    return asyncio.run(write())


def test_reopening_finds_everything_and_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    a, b = written(path, new("a"), new("b"))

    async def story() -> None:
        store = SqliteStore(path)
        await store.commit([Delete(key=b.key, revision=b.revision)])
        await store.close()
        store = SqliteStore(path)
        assert await store.all("dataset") == [a]
        assert [(change.key, change.resource) for change in await history(store)] == [
            (a.key, a),
            (b.key, None),
        ]
        assert await store.events() == [event("kept")]
        (c,) = await put(store, new("c"))
        assert c.revision > b.revision + 1
        await store.close()

    asyncio.run(story())


def test_one_process_writes_while_another_reads(tmp_path: Path) -> None:
    async def story() -> None:
        writer = SqliteStore(tmp_path / "hall.db")
        reader = SqliteStore(tmp_path / "hall.db", writable=False)
        (a,) = await put(writer, new("a"))
        assert await reader.get(a.key) == a
        with pytest.raises(Broken, match="reading"):
            await put(reader, new("b"))
        await reader.close()
        await writer.close()

    asyncio.run(story())


def test_a_store_of_a_newer_hall_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "hall.db", new("a"))
    with sqlite3.connect(tmp_path / "hall.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(Rejected, match="999"):
        SqliteStore(tmp_path / "hall.db")


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
        before = time.monotonic()
        with pytest.raises(NotNow, match="locked") as caught:
            await put(store, new("b"))
        assert time.monotonic() - before < 5
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
            await store.all("dataset")
        with pytest.raises(Broken, match="damaged"):
            await put(store, new("more"))
        await store.close()

    asyncio.run(story())


WRITE_FOR_EVER = """
import asyncio, os, sys
from pathlib import Path
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.core.kinds import Dataset, Key
from modelhall.core.ports.store import Event, Put
from modelhall.control.loop import new_resource

async def writer(store, life, number):
    for turn in range(1_000_000):
        name = f"d{life}-{number}-{turn}"
        key = Key("dataset", "default", f"counter-{number}")
        counter = await store.get(key) or new_resource(Dataset(name=key.name, source="x"), "u", 0.0)
        count = int(counter.document.labels.get("count", "0")) + 1
        document = counter.document.model_copy(update={"labels": {"count": str(count)}})
        made = new_resource(Dataset(name=name, source="x"), "u", 0.0)
        batch = [Put(resource=made), Put(resource=counter.model_copy(update={"document": document}))]
        await store.commit([*batch, Event(at=0, key=made.key, name="made", message="")])
        os.write(1, f"{name} {number} {count}\\n".encode())

async def main(life):
    print("process", os.getpid(), 0, flush=True)
    store = SqliteStore(Path(sys.argv[1]))
    await asyncio.gather(*(writer(store, life, number) for number in range(8)))

# What a life needs is loaded once; lives are forked off, one after the other.
for life in range(20):
    if os.fork() == 0:
        asyncio.run(main(life))
    os.wait()
    print("over", life, 0, flush=True)
"""


def test_twenty_kills_lose_no_acknowledged_write_and_leave_no_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "hall.db"
    names: set[str] = set()
    counts: dict[str, int] = {}
    argv = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        life, pid, lines_left = 0, 0, 0
        for line in parent.stdout:
            name, number, count = line.split()
            if name == "process":
                # Each life lasts for another number of writes, the first for none at all.
                pid, lines_left = int(number), life * 3
            elif name == "over":
                life += 1
                continue
            else:
                names.add(name)
                counts[number] = int(count)
                lines_left -= 1
            if lines_left == 0:
                os.kill(pid, signal.SIGKILL)
    assert life == 20

    async def read() -> tuple[list[AnyResource], list[Event]]:
        store = SqliteStore(path)
        found = await store.all("dataset"), await store.events(limit=1_000_000)
        await store.close()
        return found

    resources, events = asyncio.run(read())
    found = {resource.key.name: resource for resource in resources}
    made = {name for name in found if name.startswith("d")}
    assert names <= made
    assert {said.key.name for said in events} == made, "a batch is there whole or not at all"
    kept = {
        key.removeprefix("counter-"): int(found[key].document.labels["count"]) for key in found.keys() - made
    }
    assert all(kept[number] >= count for number, count in counts.items())
    assert sum(kept.values()) == len(made)
    assert len({resource.revision for resource in resources}) == len(resources)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
