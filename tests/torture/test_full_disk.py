"""A disk without room refuses writes as `Full`, goes on being read, and is written again as soon as there is room."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import power
import pytest

from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.app.hall import Hall
from modelhall.core import files
from modelhall.core.errors import Full
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Key
from modelhall.core.ports.store import Delete, Put, Store
from modelhall.core.program import Order, Reporter
from modelhall.core.sealing import KeySet
from modelhall.doors.api import create
from modelhall.settings import Settings
from modelhall.stages import prepare
from modelhall.trust.keys import KeyRing

DISK_BYTES = 2 * 2**20
LONG = "x" * 20_000
KEYS = KeySet(of="project p", newest="1d" * 8, keys={"1d" * 8: bytes(32)})

pytestmark = pytest.mark.skipif(bool(reason := power.why_not()), reason=reason or "can be")


@pytest.fixture
def disk() -> Iterator[Path]:
    with power.tmpfs(DISK_BYTES) as folder:
        yield folder


def fill(disk: Path, *, but_bytes: int = 0) -> Path:
    """Take all room but so much; return what is to be removed to have it back."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * 4096) == 4096:
            pass
    if but_bytes:
        os.truncate(filler, filler.stat().st_size - but_bytes)
    return filler


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def new(name: str, source: str = "x") -> AnyResource:
    document, kind = Dataset(name=name, source=source), KINDS["dataset"]
    return kind.resource(document=document, status=kind.status(), uid=name, created_at=1.0, updated_at=1.0)


async def put(store: Store, resource: AnyResource) -> AnyResource:
    (stored,) = await store.commit([Put(resource=resource)])
    return stored


# The store.


def test_a_commit_without_room_is_full_and_the_next_one_with_room_is_done(disk: Path) -> None:
    async def story() -> None:
        store = SqliteStore(disk / "hall.db")
        a = await put(store, new("a", LONG))
        filler = fill(disk)
        for _ in range(3):
            with pytest.raises(Full) as caught:
                await put(store, new("b", LONG))
            assert (caught.value.status, caught.value.who) == (507, "time")
            assert caught.value.delay_s > 0
            with pytest.raises(Full):
                await store.commit([Put(resource=new("c", LONG)), Delete(key=a.key, revision=a.revision)])
            assert await store.get(a.key) == a, "reading goes on"
            assert await store.get(Key("dataset", "default", "b")) is None
            assert [change.resource for change in await store.changes(0)] == [a]
        filler.unlink()
        b = await put(store, new("b", LONG))
        assert b.revision > a.revision
        await store.commit([Delete(key=a.key, revision=a.revision)])
        assert await store.get(a.key) is None
        await store.close()

    play(story)


def test_what_was_acknowledged_until_the_disk_was_full_is_there_whoever_opens_it(disk: Path) -> None:
    async def story() -> None:
        store = SqliteStore(disk / "hall.db")
        stored: list[AnyResource] = []

        async def write_for_ever() -> None:
            while True:
                stored.append(await put(store, new(f"d{len(stored)}", LONG)))

        with pytest.raises(Full):
            await write_for_ever()
        assert len(stored) > 10
        for before in stored:
            assert await store.get(before.key) == before
        await store.close()
        # The store has used up all the room itself, so somebody has to find some for it.
        power.resize_tmpfs(disk, 2 * DISK_BYTES)
        store = SqliteStore(disk / "hall.db")
        for before in stored:
            assert await store.get(before.key) == before
        assert (await put(store, new("more"))).revision > stored[-1].revision
        await store.close()

    play(story)


def test_a_full_disk_fails_the_group_that_does_not_fit_and_no_other(disk: Path) -> None:
    """Many write at once: each is told the truth, and what still fits is done before there is more room."""

    async def story() -> None:
        store = SqliteStore(disk / "hall.db")
        kept = await put(store, new("kept"))
        filler = fill(disk, but_bytes=160 * 1024)
        with pytest.raises(Full):
            await put(store, new("huge", "x" * 400_000))
        small = await put(store, new("small"))
        names = [f"d{number}" for number in range(200)]
        outcomes: dict[str, AnyResource | BaseException] = {}

        async def writer(number: int) -> None:
            for name in names[number::8]:
                try:
                    outcomes[name] = await put(store, new(name, LONG[:8000]))
                except Full as error:
                    outcomes[name] = error

        await asyncio.gather(*map(writer, range(8)))
        done = {name for name, outcome in outcomes.items() if not isinstance(outcome, Full)}
        assert 0 < len(done) < len(names)
        for name, outcome in outcomes.items():
            found = await store.get(Key("dataset", "default", name))
            assert found == (None if isinstance(outcome, Full) else outcome), name
        filler.unlink()
        again = await store.commit([Put(resource=new(name)) for name in names if name not in done])
        outcomes.update({resource.key.name: resource for resource in again})
        for before in (kept, small, *outcomes.values()):
            assert isinstance(before, KINDS["dataset"].resource)
            assert await store.get(before.key) == before
        await store.close()

    play(story)


@pytest.mark.parametrize("is_new", [True, False], ids=["a new store", "one that is there"])
def test_a_store_that_cannot_be_opened_for_lack_of_room_is_full(disk: Path, is_new: bool) -> None:
    async def story() -> None:
        if not is_new:
            store = SqliteStore(disk / "hall.db")
            await put(store, new("a"))
            await store.close()
        filler = fill(disk)
        with pytest.raises(Full):
            SqliteStore(disk / "hall.db")
        filler.unlink()
        store = SqliteStore(disk / "hall.db")
        assert ((await store.get(new("a").key)) is None) == is_new
        await put(store, new("b"))
        await store.close()

    play(story)


# Durable files and blobs.


def test_a_durable_file_without_room_keeps_what_it_held(disk: Path) -> None:
    files.write_bytes(disk / "facts.json", b"old")
    filler = fill(disk)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_bytes(disk / "facts.json", b"new" * 5000)
    assert caught.value.errno == errno.ENOSPC
    assert sorted(path.name for path in disk.iterdir()) == ["facts.json", "filler"], "nothing is left over"
    assert (disk / "facts.json").read_bytes() == b"old"
    filler.unlink()
    files.write_bytes(disk / "facts.json", b"new" * 5000)
    assert (disk / "facts.json").read_bytes() == b"new" * 5000


@pytest.mark.parametrize("keys", [None, KEYS], ids=["plain", "sealed"])
def test_blobs_without_room_are_full_and_leave_nothing_of_what_did_not_fit(
    disk: Path, tmp_path: Path, keys: KeySet | None
) -> None:
    blobs = FolderBlobs(disk / "blobs", keys)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(name.encode() * 30_000)
    first = blobs.put_folder(tmp_path / "first")
    filler = fill(disk, but_bytes=64 * 1024)
    with pytest.raises(Full) as caught:
        blobs.put_folder(tmp_path / "second")
    assert caught.value.status == 507
    assert list((disk / "blobs" / ".incoming").iterdir()) == []
    blobs.get_folder(first, tmp_path / "back")
    assert (tmp_path / "back" / "a").read_bytes() == b"first" * 30_000, "reading goes on"
    filler.unlink()
    second = blobs.put_folder(tmp_path / "second")
    blobs.get_folder(second, tmp_path / "back 2")
    assert (tmp_path / "back 2" / "a").read_bytes() == b"second" * 30_000


# Keys.


def test_keys_without_room_are_full_and_stay_what_they_were(disk: Path, tmp_path: Path) -> None:
    folder = disk / "keys"
    ring = KeyRing(folder, now=lambda: 1.0)
    before = ring.keys_of("p")
    filler = fill(disk)
    for change in (
        lambda: ring.keys_of("q"),
        lambda: ring.add("p"),
        ring.rotate_root,
        lambda: ring.delete("p"),
    ):
        with pytest.raises(Full):
            change()
        assert KeyRing(folder, now=lambda: 1.0).keys_of("p") == before
    filler.unlink()
    ring.rotate_root()
    assert KeyRing(folder, now=lambda: 1.0).keys_of("p") == before


# Over HTTP.


def test_the_control_api_answers_507_in_words_and_goes_on_answering_reads(disk: Path) -> None:
    async def story() -> None:
        hall = Hall(Settings(home=disk))
        headers = {"authorization": f"Bearer {hall.token}"}
        transport = httpx.ASGITransport(create(hall), raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as api:
            before = {"documents": [{"kind": "run", "name": "before", "command": ["true"]}]}
            after = {"documents": [{"kind": "run", "name": "after", "command": ["true", LONG]}]}
            answer = await api.post("/api/v1/apply", json=before)
            assert answer.status_code == 200, answer.text
            filler = fill(disk)
            for verb, path, body in (
                ("POST", "/api/v1/apply", after),
                ("POST", "/api/v1/runs/before/cancel", None),
                ("DELETE", "/api/v1/runs/before", None),
            ):
                answer = await api.request(verb, path, json=body)
                assert answer.status_code == 507, (path, answer.text)
                error = answer.json()["error"]
                assert error["who"] == "time"
                assert "room" in error["message"] or "full" in error["message"]
                assert int(answer.headers["retry-after"]) >= 1
            for path in (
                "/api/v1/runs",
                "/api/v1/runs/before",
                "/api/v1/status",
                "/api/v1/events",
                "/metrics",
            ):
                assert (await api.get(path)).status_code == 200, path
            assert (await api.get("/api/v1/runs/after")).status_code == 404
            filler.unlink()
            answer = await api.post("/api/v1/apply", json=after)
            assert answer.status_code == 200, answer.text
            assert (await api.get("/api/v1/runs/after")).status_code == 200
        await hall.close()

    play(story)


# The prepare stage.


def test_a_preparation_without_room_is_full_leaves_no_version_and_goes_on_with_room(
    disk: Path, tmp_path: Path
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("n,text\n" + "".join(f"{n},row {n * 7919 % 10007}\n" for n in range(150_000)))
    shuffle = {"name": "shuffle", "options": {"seed": 1}}
    what = {"source": str(source), "format": {}, "prepare": [shuffle], "max_damaged": 0.0}
    places = {name: disk / name for name in ("work", "state", "cache")}
    for place in places.values():
        place.mkdir()
    order = Order(run="r", attempt=1, what=what, blobs=f"folder://{disk}/blobs", threads=1, **places)
    with pytest.raises(Full) as caught:
        prepare.carry_out(order, Reporter(order.work))
    assert "room for the rows of the data set" in caught.value.message
    assert not [path for path in (disk / "blobs").rglob("*") if path.is_file()]
    power.resize_tmpfs(disk, 64 * 2**20)
    made = prepare.carry_out(order, Reporter(order.work))
    assert made["rows"] == {"train": 150_000}
