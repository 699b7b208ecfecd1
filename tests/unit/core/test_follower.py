"""Those who listen to a store know what is in it, whatever befalls the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from modelhall.adapters.store.memory import MemoryStore
from modelhall.core import follower as followers
from modelhall.core.errors import Gone, NotNow
from modelhall.core.follower import Follower
from modelhall.core.kinds import AnyResource, Key, Project
from modelhall.core.kinds.project import ProjectResource, ProjectStatus
from modelhall.core.ports.store import Change, Delete, Put

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Listener:
    def __init__(self, *kinds: str) -> None:
        self.kinds = frozenset(kinds)
        self.known: set[str] = set()
        self.started = 0

    def start(self, resources: Iterable[AnyResource]) -> None:
        self.known = {resource.key.name for resource in resources}
        self.started += 1

    def take_in(self, key: Key, resource: AnyResource | None) -> None:
        self.known.discard(key.name)
        if resource is not None:
            self.known.add(key.name)


class Shaky(MemoryStore):
    """Fails with these errors when it is asked for changes, one each time."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        if self.errors:
            raise self.errors.pop()
        return await super().changes(after, limit)


async def put(store: MemoryStore, name: str) -> AnyResource:
    made = ProjectResource(
        document=Project(name=name), status=ProjectStatus(), uid=name, created_at=0.0, updated_at=0.0
    )
    (stored,) = await store.commit([Put(resource=made)])
    return stored


async def following(store: MemoryStore, play: Callable[[Listener, Follower], Awaitable[None]]) -> None:
    listener = Listener("project")
    follower = Follower(store, listener)
    task = asyncio.create_task(follower.follow())
    try:
        async with asyncio.timeout(20):
            await play(listener, follower)
    finally:
        task.cancel()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


async def test_a_listener_knows_what_was_there_what_comes_and_what_goes() -> None:
    store = MemoryStore()
    first = await put(store, "a")

    async def play(listener: Listener, follower: Follower) -> None:
        await until(lambda: listener.known == {"a"})
        await put(store, "b")
        await until(lambda: listener.known == {"a", "b"})
        await store.commit([Delete(key=first.key, revision=first.revision)])
        await until(lambda: listener.known == {"b"})

    await following(store, play)


async def test_each_is_told_of_his_kinds_only() -> None:
    store = MemoryStore()
    projects, runs = Listener("project"), Listener("run")
    follower = Follower(store, projects, runs)
    await put(store, "a")
    await follower.catch_up()
    await put(store, "b")
    await follower.catch_up()
    assert (projects.known, runs.known) == ({"a", "b"}, set())
    assert (projects.started, runs.started) == (1, 1)


async def test_catching_up_ends_when_all_is_told_however_much_it_is() -> None:
    store = MemoryStore()
    listener = Listener("project")
    follower = Follower(store, listener)
    await follower.catch_up()
    for number in range(1, 2001):
        await put(store, f"p{number}")
    await follower.catch_up()
    assert len(listener.known) == 2000
    assert follower.revision == await store.revision()


async def test_what_was_told_up_to_a_revision_is_known_when_it_is_reached() -> None:
    store = MemoryStore()
    listener = Listener("project")
    follower = Follower(store, listener)
    stored = await put(store, "a")
    await follower.reach(stored.revision)
    assert listener.known == {"a"}
    # What is known already is not read again.
    store.changes = None  # type: ignore[assignment, method-assign]
    await follower.reach(stored.revision)


async def test_while_the_store_is_away_what_is_known_stands_and_then_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(followers, "LOOK_S", 0.01)
    store = Shaky()
    await put(store, "a")

    async def play(listener: Listener, follower: Follower) -> None:
        await until(lambda: listener.known == {"a"})
        store.errors = [NotNow("away", delay_s=1.0), OSError("away")]
        await put(store, "b")
        assert "a" in listener.known
        await until(lambda: listener.known == {"a", "b"})
        assert listener.started == 1

    await following(store, play)


async def test_another_history_is_read_anew() -> None:
    store = Shaky()
    await put(store, "a")

    async def play(listener: Listener, follower: Follower) -> None:
        await until(lambda: listener.known == {"a"})
        store.errors = [Gone("another history")]
        await put(store, "b")
        await until(lambda: listener.started == 2)
        assert listener.known == {"a", "b"}

    await following(store, play)
