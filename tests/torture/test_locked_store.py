"""A database that another process has locked is waited for, so long and no longer; reads do not wait at all."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.app.hall import Hall
from modelhall.core.errors import NotNow
from modelhall.core.kinds import KINDS, AnyResource, Dataset
from modelhall.core.ports.store import Put, Store
from modelhall.doors.api import create
from modelhall.settings import Settings

BUSY_S = 0.4
SLACK_S = 5.0
"""What a machine that has other things to do may add."""

HOLD = """
import sqlite3, sys
holder = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    holder.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""
EXCLUSIVE = ("BEGIN EXCLUSIVE",)
READERS_TOO = ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE")
"""Shuts out readers as well, and can only be had while nobody has the database open."""


@contextlib.contextmanager
def held(path: Path, statements: tuple[str, ...] = EXCLUSIVE) -> Iterator[subprocess.Popen[str]]:
    """While this lasts, another process has the database locked; it lets go when its input ends."""
    argv = [sys.executable, "-c", HOLD, str(path), *statements]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            other.stdin.close()
            other.wait(10)


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def new(name: str) -> AnyResource:
    document, kind = Dataset(name=name, source="x"), KINDS["dataset"]
    return kind.resource(document=document, status=kind.status(), uid=name, created_at=1.0, updated_at=1.0)


async def put(store: Store, resource: AnyResource) -> AnyResource:
    (stored,) = await store.commit([Put(resource=resource)])
    return stored


def test_a_commit_waits_so_long_for_the_lock_and_no_longer_and_reads_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db", busy_s=BUSY_S)
        a = await put(store, new("a"))
        with held(tmp_path / "hall.db"):
            before = time.monotonic()
            waiting = [asyncio.create_task(put(store, new(f"d{number}"))) for number in range(20)]
            await asyncio.sleep(0)
            assert await store.get(a.key) == a
            assert [change.resource for change in await store.changes(0)] == [a]
            assert not any(task.done() for task in waiting), "reads do not wait for the lock"
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            # Who came while others were waiting waits with the next group.
            assert BUSY_S * 0.9 < time.monotonic() - before < 2 * BUSY_S + SLACK_S
            for outcome in outcomes:
                assert isinstance(outcome, NotNow), outcome
                assert outcome.status == 503
                assert outcome.delay_s > 0
        assert await store.get(new("d0").key) is None, "what was refused is not done later"
        for number in range(20):
            await put(store, new(f"d{number}"))
        await store.close()

    play(story)


def test_a_commit_is_done_when_the_lock_is_let_go_in_time(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db", busy_s=30)
        a = await put(store, new("a"))
        with held(tmp_path / "hall.db") as other:
            waiting = asyncio.create_task(put(store, new("b")))
            # So that the store has met the lock.
            _, pending = await asyncio.wait([waiting], timeout=0.3)
            assert pending
            assert other.stdin is not None
            other.stdin.close()
            b = await asyncio.wait_for(waiting, 10)
        assert b.revision > a.revision
        assert await store.get(b.key) == b
        await store.close()

    play(story)


def test_a_holder_that_is_killed_has_let_go(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db", busy_s=30)
        await put(store, new("a"))
        with held(tmp_path / "hall.db") as other:
            waiting = asyncio.create_task(put(store, new("b")))
            _, pending = await asyncio.wait([waiting], timeout=0.1)
            assert pending
            other.kill()
            await asyncio.wait_for(waiting, 10)
        await store.close()

    play(story)


@pytest.mark.parametrize("is_new", [True, False], ids=["a new store", "one that is there"])
def test_opening_a_store_that_stays_locked_is_not_now(tmp_path: Path, is_new: bool) -> None:
    path = tmp_path / "hall.db"

    async def story() -> None:
        if not is_new:
            store = SqliteStore(path)
            await put(store, new("a"))
            await store.close()
        with held(path, EXCLUSIVE if is_new else READERS_TOO):
            before = time.monotonic()
            with pytest.raises(NotNow, match="locked") as caught:
                SqliteStore(path, busy_s=BUSY_S)
            assert time.monotonic() - before < 2 * BUSY_S + SLACK_S
            assert caught.value.delay_s > 0
        store = SqliteStore(path, busy_s=BUSY_S)
        assert (await store.get(new("a").key) is None) == is_new
        await put(store, new("b"))
        await store.close()

    play(story)


def test_a_store_that_is_only_written_by_another_can_be_opened_and_read(tmp_path: Path) -> None:
    async def story() -> None:
        store = SqliteStore(tmp_path / "hall.db")
        a = await put(store, new("a"))
        await store.close()
        with held(tmp_path / "hall.db"):
            reading = SqliteStore(tmp_path / "hall.db", writable=False, busy_s=BUSY_S)
            assert await reading.get(a.key) == a
            await reading.close()

    play(story)


def test_the_control_api_answers_503_with_the_time_to_wait_and_goes_on_answering_reads(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        hall = Hall(Settings(home=tmp_path))
        await hall.store.close()
        # The same store, with less patience than a hall has.
        hall.store = SqliteStore(tmp_path / "hall.db", busy_s=BUSY_S)
        headers = {"authorization": f"Bearer {hall.token}"}
        transport = httpx.ASGITransport(create(hall), raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as api:
            run = {"kind": "run", "name": "before", "command": ["true"]}
            answer = await api.post("/api/v1/apply", json={"documents": [run]})
            assert answer.status_code == 200, answer.text
            more = {"documents": [{**run, "name": "after"}]}
            with held(tmp_path / "hall.db"):
                asked = asyncio.create_task(api.post("/api/v1/apply", json=more))
                for path in ("/api/v1/runs", "/api/v1/runs/before", "/api/v1/status", "/metrics"):
                    assert (await api.get(path)).status_code == 200, path
                answer = await asked
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) >= 1
                error = answer.json()["error"]
                assert error["who"] == "time"
                assert "locked" in error["message"]
            assert (await api.get("/api/v1/runs/after")).status_code == 404
            answer = await api.post("/api/v1/apply", json=more)
            assert answer.status_code == 200, answer.text
        await hall.close()

    play(story)
