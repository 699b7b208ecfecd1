"""A store in memory: for the twin and for tests. Nothing outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from modelhall.adapters.store._judge import Effects, Facts, Judge, Stored, Wanted, check_history, wanted
from modelhall.core.errors import HallError
from modelhall.core.kinds import AnyResource, Key, rests
from modelhall.core.ports.store import Answer, Change, Event, Lease, Write

EVENTS_KEPT = 10_000
ANSWERS_KEPT = 10_000
REMOVALS_KEPT = 10_000


class MemoryStore:
    """The store port over dictionaries. Its methods but `wait` never wait, so a virtual clock can drive it."""

    def __init__(self, *, removals_kept: int = REMOVALS_KEPT) -> None:
        self._revision = self._compacted = 0
        self._resources: dict[Key, AnyResource] = {}
        self._history: dict[Key, Change] = {}
        self._owned: dict[str, set[Key]] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._answers: dict[str, Answer] = {}
        self._lease: Lease | None = None
        self._removed: dict[Key, int] = {}
        """The revisions of the removals that are known, oldest first."""
        self._removals_kept = removals_kept
        self._news = asyncio.Event()

    async def get(self, key: Key) -> AnyResource | None:
        return self._resources.get(key)

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
        among = self._resources if owner is None else self._owned.get(owner, set())
        found = (
            self._resources[key]
            for key in sorted(among)
            if key.kind == kind and project in (None, key.project) and (after is None or key[1:] > after[1:])
        )
        matching = [
            resource
            for resource in found
            if (labels or {}).items() <= resource.document.labels.items()
            and resting in (None, rests(resource))
        ]
        return matching[:limit]

    async def latest(
        self,
        kind: str,
        project: str | None = None,
        *,
        state: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[AnyResource]:
        found = [
            resource
            for key, resource in self._resources.items()
            if key.kind == kind
            and project in (None, key.project)
            and state in (None, resource.status.state)
            and (before is None or resource.revision < before)
        ]
        return sorted(found, key=lambda resource: -resource.revision)[:limit]

    async def alive(
        self, kind: str, *, after: Key | None = None, limit: int | None = None
    ) -> list[AnyResource]:
        return await self.find(kind, resting=False, after=after, limit=limit)

    async def commit(self, writes: Sequence[Write]) -> list[AnyResource]:
        judge = Judge(self._facts(wanted([writes])), lambda resource: resource)
        answer = judge.judge(writes)
        if isinstance(answer, HallError):
            raise answer
        self._store(judge.effects)
        self._revision = judge.revision
        self._wake()
        return answer

    async def changes(self, after: int, limit: int = 1000) -> list[Change]:
        check_history(after, self._revision, self._compacted)
        # A resource's change is moved to the end when it changes again, so the newest are found from behind.
        newer: list[Change] = []
        for change in reversed(self._history.values()):
            if change.revision <= after:
                break
            newer.append(change)
        return newer[::-1][:limit]

    async def revision(self) -> int:
        return self._revision

    async def wait(self, after: int, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._revision <= after:
                    await self._news.wait()
        return self._revision > after

    async def events(
        self, key: Key | None = None, limit: int = 100, *, project: str | None = None
    ) -> list[Event]:
        newest_first = reversed(self._events)
        of_key = [event for event in newest_first if key in (None, event.key)]
        return [event for event in of_key if project in (None, event.key.project)][:limit]

    async def counts(self) -> dict[tuple[str, str], int]:
        return dict(Counter((key.kind, r.status.state) for key, r in self._resources.items()))

    async def answer(self, once: str) -> Answer | None:
        return self._answers.get(once)

    async def lease(self) -> Lease | None:
        return self._lease

    async def skip_to(self, revision: int) -> None:
        self._revision = max(self._revision, revision)
        self._compacted = max(self._compacted, revision)
        self._wake()

    async def close(self) -> None:
        pass

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _facts(self, asked: Wanted) -> Facts:
        there = {key: self._resources[key] for key in asked.keys if key in self._resources}
        return Facts(
            revision=self._revision,
            resources={
                key: Stored(r.revision, r.deleting, getattr(r.document, "owner", None))
                for key, r in there.items()
            },
            owned={path: len(self._owned.get(path, ())) for path in asked.owners},
            answered=asked.once & self._answers.keys(),
            lease=self._lease,
        )

    def _store(self, effects: Effects[AnyResource]) -> None:
        for key, row in effects.rows.items():
            before = self._resources.pop(key, None)
            owner = getattr(before.document, "owner", None) if before else None
            if owner is not None:
                self._owned[owner].discard(key)
                if not self._owned[owner]:
                    del self._owned[owner]
            if row.body is not None:
                self._resources[key] = row.body
            if row.owner is not None:
                self._owned.setdefault(row.owner, set()).add(key)
            self._history.pop(key, None)
            self._history[key] = Change(revision=row.revision, key=key, resource=row.body)
            self._removed.pop(key, None)
            if row.body is None:
                self._removed[key] = row.revision
        self._events.extend(effects.events)
        self._answers |= {answer.once: answer for answer in effects.answers}
        self._lease = effects.lease or self._lease
        self._forget()

    def _forget(self) -> None:
        while len(self._removed) > self._removals_kept:
            key = next(iter(self._removed))
            self._compacted = max(self._compacted, self._removed.pop(key))
            del self._history[key]
        while len(self._answers) > ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
