"""Stores in memory that count, let others go first, or cannot always be reached."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from modelhall.adapters.store.memory import MemoryStore
from modelhall.core.errors import NotNow
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.store import Answer, Change, Lease, Store, Write


class ContendedStore(MemoryStore):
    """Just before each of the first `times` commits, `meddle` has its way."""

    def __init__(self, times: int = 0) -> None:
        super().__init__()
        self.times = times
        self.meddle: Callable[[], Coroutine[Any, Any, object]] | None = None

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        if self.times > 0 and self.meddle is not None:
            self.times -= 1
            await self.meddle()
        return await super().commit(writes)


class PoliteStore(MemoryStore):
    """Before every call, all others who want something get their turn."""

    async def get(self, key: Key) -> AnyResource | None:
        await asyncio.sleep(0)
        return await super().get(key)

    async def answer(self, once: str) -> Answer | None:
        await asyncio.sleep(0)
        return await super().answer(once)

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        await asyncio.sleep(0)
        return await super().commit(writes)


class InterruptedStore(MemoryStore):
    """While the reply to a read is on its way, somebody else does something."""

    def __init__(self) -> None:
        super().__init__()
        self._interruptions: dict[int, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._reads = 0

    def interrupt(self, place: int, by: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have it happen at the read of this number, from 1."""
        self._interruptions[self._reads + place] = by

    async def get(self, key: Key) -> AnyResource | None:
        found = await super().get(key)
        self._reads += 1
        if self._reads in self._interruptions:
            await self._interruptions[self._reads]()
        return found


class CountingStore(MemoryStore):
    """Counts the calls, and how many resources they brought."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.unlimited: list[str] = []
        """The kinds of which all were asked for, whoever they belong to."""

    def forget(self) -> None:
        self.calls.clear()
        self.unlimited.clear()

    async def get(self, key: Key) -> AnyResource | None:
        self.calls["get"] += 1
        return await super().get(key)

    async def find(
        self,
        kind: str,
        project: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner: str | None = None,
        resting: bool | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> list[AnyResource]:
        found = await super().find(
            kind, project, labels=labels, owner=owner, resting=resting, after=after, limit=limit
        )
        self.calls["find"] += 1
        self.calls["found"] += len(found)
        if limit is None and owner is None:
            self.unlimited.append(kind)
        return found

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        changes = await super().changes(after, limit)
        self.calls["changes"] += 1
        self.calls["changed"] += len(changes)
        return changes

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        self.calls["commit"] += 1
        return await super().commit(writes)


class Wire:
    """One control plane's way to a store all share. It can be cut, and it can lose replies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_cut = False
        self.replies_to_lose = 0
        """How many commits are done without their caller hearing of it."""
        self.delay: Callable[[], None] | None = None
        """What happens while a caller waits for a commit's reply, or to be told that the wire is cut."""

    async def lease(self) -> Lease | None:
        self._check()
        return await self._store.lease()

    async def get(self, key: Key) -> AnyResource | None:
        self._check()
        return await self._store.get(key)

    async def answer(self, once: str) -> Answer | None:
        self._check()
        return await self._store.answer(once)

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        self._check()
        stored = await self._store.commit(writes)
        if self.delay is not None:
            self.delay()
        if self.replies_to_lose:
            self.replies_to_lose -= 1
            raise NotNow("the reply did not come", delay_s=1)
        return stored

    def _check(self) -> None:
        if self.is_cut:
            if self.delay is not None:
                self.delay()
            raise NotNow("the store cannot be reached", delay_s=1)
