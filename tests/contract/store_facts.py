"""What the tests of the stores share: resources to store, and ways to store and follow them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from real_postgres import RealPostgres

from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.store.postgres import PostgresStore
from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Document, Key, Run
from modelhall.core.ports.store import Answer, Change, Event, Put, Store

KINDS_OF_STORE = ["memory", "sqlite", "postgres"]
Story = Callable[[Store], Coroutine[Any, Any, None]]
Play = Callable[..., None]
"""Plays a story in a fresh store and closes it: `play(story, **options_of_the_store)`."""


class Durable:
    """A durable store that can be opened again and again, by this process and by others."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, **options: Any) -> Store:
        if self.url.startswith("sqlite"):
            return SqliteStore(Path(self.url.removeprefix("sqlite://")), **options)
        return PostgresStore(self.url, **options)


def opened(kind: str, folder: Path, postgres: Callable[[], RealPostgres], **options: Any) -> Store:
    """A fresh store of one kind."""
    if kind == "memory":
        return MemoryStore(**options)
    return durable(kind, folder, postgres).open(**options)


def durable(kind: str, folder: Path, postgres: Callable[[], RealPostgres]) -> Durable:
    return Durable(f"sqlite://{folder}/hall.db" if kind == "sqlite" else postgres().new_url())


def run_story(coroutine: Coroutine[Any, Any, None], limit_s: float = 60) -> None:
    asyncio.run(asyncio.wait_for(coroutine, limit_s))


def new(name: str, project: str = "default", document: Document | None = None) -> AnyResource:
    """A resource nobody has stored yet."""
    document = document or Dataset(name=name, project=project, source=f"{name}.csv")
    kind = KINDS[document.kind]
    return kind.resource(document=document, status=kind.status(), uid=name, created_at=1.5, updated_at=2.5)


def owned(name: str, owner: AnyResource | Key, **fields: Any) -> AnyResource:
    """A run made for `owner`."""
    key = owner if isinstance(owner, Key) else owner.key
    return new("", document=Run(name=name, owner=key.path, command=("x",), **fields))


def event(name: str, key: Key = Key("dataset", "default", "a"), at: float = 1.0) -> Event:
    return Event(at=at, key=key, name=name, message=f"{name} happened — 中文")


def answer_of(once: str, body: str = "{}") -> Answer:
    return Answer(at=1.5, once=once, request="digest", body=body)


async def put(store: Store, *resources: AnyResource) -> list[AnyResource]:
    return await store.commit([Put(resource=resource) for resource in resources])


async def history(store: Store, after: int = 0, limit: int = 1000) -> list[Change]:
    """All changes after a revision, read page by page."""
    found: list[Change] = []
    while page := await store.changes(found[-1].revision if found else after, limit):
        assert len(page) <= limit
        found += page
    return found


def names(resources: list[AnyResource]) -> list[str]:
    return [resource.key.name for resource in resources]
