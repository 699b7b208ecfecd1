"""A store in memory: for the twin and for tests. Nothing outlives the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from modelhall.core.errors import Conflict
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.store import Change, Delete, Event, Put, Write

EVENTS_KEPT = 10_000


class MemoryStore:
    """The store port over dictionaries. Its methods never wait, so a virtual clock can drive it."""

    def __init__(self) -> None:
        self._revision = 0
        self._resources: dict[Key, AnyResource] = {}
        self._history: dict[Key, Change] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)

    async def get(self, key: Key) -> AnyResource | None:
        return self._resources.get(key)

    async def all(self, kind: str, project: str | None = None) -> list[AnyResource]:
        found = [r for k, r in self._resources.items() if k.kind == kind and project in (None, k.project)]
        return sorted(found, key=lambda r: r.key)

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        self._check(writes)
        return [put for write in writes if (put := self._do(write)) is not None]

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        # A resource's change is moved to the end when it changes again, so the newest are found from behind.
        newer: list[Change] = []
        for change in reversed(self._history.values()):
            if change.revision <= after:
                break
            newer.append(change)
        return newer[::-1][:limit]

    async def events(self, key: Key | None = None, limit: int = 100) -> list[Event]:
        newest_first = reversed(self._events)
        return [event for event in newest_first if key in (None, event.key)][:limit]

    async def close(self) -> None:
        pass

    def _check(self, writes: Sequence[Write]) -> None:
        """Raise Conflict unless all of `writes`, done one after the other, find what they expect."""
        left_behind: dict[Key, int | None] = {}
        for write in writes:
            if isinstance(write, Event):
                continue
            there = write.resource if isinstance(write, Put) else write
            found = left_behind.get(there.key, self._revision_of(there.key))
            if found != there.revision:
                raise Conflict(
                    f"{there.key} is at revision {found}, and the write expected {there.revision}; read it again"
                )
            # Nobody can know yet which revision a put will get.
            left_behind[there.key] = None if isinstance(write, Put) else 0

    def _revision_of(self, key: Key) -> int:
        stored = self._resources.get(key)
        return stored.revision if stored else 0

    def _do(self, write: Write) -> AnyResource | None:
        if isinstance(write, Event):
            self._events.append(write)
            return None
        self._revision += 1
        if isinstance(write, Delete):
            del self._resources[write.key]
            self._remember(Change(revision=self._revision, key=write.key, resource=None))
            return None
        resource = write.resource.model_copy(update={"revision": self._revision})
        self._resources[resource.key] = resource
        self._remember(Change(revision=self._revision, key=resource.key, resource=resource))
        return resource

    def _remember(self, change: Change) -> None:
        self._history.pop(change.key, None)
        self._history[change.key] = change
