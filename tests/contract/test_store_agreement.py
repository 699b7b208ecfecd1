"""All stores do the same with the same commits, whatever these are: the one in memory shows what is right."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from real_postgres import RealPostgres
from store_facts import KINDS_OF_STORE, answer_of, event, new, opened, owned, run_story

from modelhall.core.errors import Conflict, Gone, HallError, Stale
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.store import Answer, Delete, Hold, Lead, Lease, Need, Put, Store, Write

DATASETS = [Key("dataset", "default", name) for name in ("a", "b")]
RUNS = [Key("run", "default", name) for name in ("r", "s", "t")]
KEYS = [*DATASETS, *RUNS]
COMMITS = 150


class Chance:
    """Makes up commits, most of which fit what is stored, and some of which do not."""

    def __init__(self, seed: int, store: Store) -> None:
        self._rng = random.Random(seed)
        self._store = store

    async def commit(self) -> list[Write]:
        there = {key: await self._store.get(key) for key in KEYS}
        lease = await self._store.lease()
        return [self._write(there, lease) for _ in range(self._rng.choice((0, 1, 1, 1, 2, 2, 3, 5)))]

    def commits_at_once(self) -> int:
        return self._rng.choice((1, 2, 3, 8))

    def _write(self, there: dict[Key, AnyResource | None], lease: Lease | None) -> Write:
        rng = self._rng
        key = rng.choice(KEYS)
        found = there[key]
        match rng.choice(
            ("put", "put", "put", "put", "delete", "delete", "need", "answer", "hold", "lead", "event")
        ):
            case "put":
                revision = self._about(found.revision if found else 0)
                return Put(resource=self._resource(key).model_copy(update={"revision": revision}))
            case "delete":
                # What was deleted in this batch may be put again in it.
                there[key] = None
                return Delete(key=key, revision=self._about(found.revision if found else 0))
            case "need":
                return Need(key=key)
            case "answer":
                return answer_of(str(rng.randrange(30)), str(rng.random()))
            case "hold":
                epoch = lease.epoch if lease else 0
                return Hold(
                    lease=Lease(rng.choice("xy"), epoch + rng.randrange(2), rng.randrange(9)),
                    before=lease if rng.random() < 0.8 else Lease("z", 1, 1),
                )
            case "lead":
                return Lead(epoch=self._about(lease.epoch if lease else 0))
            case _:
                return event(str(rng.random()), key)

    def _resource(self, key: Key) -> AnyResource:
        rng = self._rng
        if key.kind == "run":
            made = owned(key.name, rng.choice(KEYS))
            made = made.with_status(state=rng.choice(("queued", "succeeded")))
        else:
            made = new(key.name)
        return made.model_copy(update={"deleting": rng.random() < 0.2, "uid": str(rng.random())})

    def _about(self, revision: int) -> int:
        return revision if self._rng.random() < 0.85 else self._rng.choice((0, revision + 1, revision - 1))


@dataclass
class Plain:
    """What the rules of the port mean, said as plainly as possible: copy all, write one after the other."""

    there: dict[Key, AnyResource] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    lease: Lease | None = None
    revision: int = 0

    def commit(self, writes: Sequence[Write]) -> type[Exception] | None:
        """Do all of `writes` or none; the error that is due."""
        trial = Plain(dict(self.there), set(self.answered), self.lease, self.revision)
        try:
            for write in writes:
                trial._do(write, untouched=self.revision)
        except Conflict as error:
            return type(error)
        vars(self).update(vars(trial))
        return None

    def _do(self, write: Write, untouched: int) -> None:
        match write:
            case Put(resource=resource):
                self._expect(resource.key, resource.revision, untouched)
                self.revision += 1
                self.there[resource.key] = resource.model_copy(update={"revision": self.revision})
            case Delete(key=key, revision=revision):
                self._expect(key, revision, untouched)
                owners = [getattr(other.document, "owner", None) for other in self.there.values()]
                self._check(key in self.there and key.path not in owners)
                self.revision += 1
                del self.there[key]
            case Need(key=key):
                self._check(key in self.there and not self.there[key].deleting)
            case Answer(once=once):
                self._check(once not in self.answered)
                self.answered.add(once)
            case Hold(lease=lease, before=before):
                self._check(self.lease == before)
                self.lease = lease
            case Lead(epoch=epoch):
                if self.lease is None or self.lease.epoch != epoch:
                    raise Stale("")

    def _expect(self, key: Key, revision: int, untouched: int) -> None:
        now = self.there[key].revision if key in self.there else 0
        # Nobody knows the revision of what this very commit has put.
        self._check(now == revision <= untouched)

    def _check(self, holds: bool) -> None:
        if not holds:
            raise Conflict("")


async def everything(store: Store) -> dict[str, Any]:
    """All that can be seen of a store that was given the commits of chance."""
    return {
        "revision": await store.revision(),
        "found": [await store.find(kind) for kind in ("dataset", "run")],
        "got": [await store.get(key) for key in KEYS],
        "resting": [await store.find("run", resting=resting) for resting in (True, False)],
        "owned": [await store.find("run", owner=key.path) for key in KEYS],
        "feed": await store.changes(0),
        "events": await store.events(limit=1000),
        "events of one": [await store.events(key, limit=5) for key in KEYS],
        "answers": [await store.answer(str(number)) for number in range(30)],
        "lease": await store.lease(),
    }


async def known(store: Store, after: int) -> object:
    try:
        return await store.changes(after)
    except Gone:
        return "gone"


async def outcomes(store: Store, commits: Sequence[Sequence[Write]]) -> list[object]:
    """What came of commits that were all asked for at once: what was put, or which error it was."""
    found = await asyncio.gather(*(store.commit(writes) for writes in commits), return_exceptions=True)
    return [(type(one), str(one)) if isinstance(one, HallError) else one for one in found]


@pytest.fixture
def all_stores(tmp_path: Path, postgres: Callable[[], RealPostgres]) -> Callable[..., list[Store]]:
    """Opens one store of each kind; the one in memory first."""

    def open_all(**options: Any) -> list[Store]:
        stores = []
        for kind in KINDS_OF_STORE:
            with contextlib.suppress(pytest.skip.Exception):
                stores.append(opened(kind, tmp_path, postgres, **options))
        return stores

    return open_all


@pytest.mark.parametrize("seed", range(3))
def test_all_stores_agree_on_one_commit_after_another(
    all_stores: Callable[..., list[Store]], seed: int
) -> None:
    async def story() -> None:
        memory, *others = stores = all_stores(removals_kept=2)
        chance, plain = Chance(seed, memory), Plain()
        for _ in range(COMMITS):
            commit = await chance.commit()
            right = await outcomes(memory, [commit])
            assert plain.commit(commit) == (right[0][0] if isinstance(right[0], tuple) else None), commit
            for other in others:
                assert await outcomes(other, [commit]) == right, commit
        assert [plain.there.get(key) for key in KEYS] == [await memory.get(key) for key in KEYS]
        newest = await memory.revision()
        assert newest == plain.revision
        for after in range(newest + 2):
            right_changes = await known(memory, after)
            for other in others:
                assert await known(other, after) == right_changes
        for other in others:
            assert await everything(other) == await everything(memory)
        assert newest > COMMITS / 4, "most of chance's commits are possible"
        for store in stores:
            await store.close()

    run_story(story(), 120)


@pytest.mark.parametrize("seed", range(100, 103))
def test_all_stores_agree_on_commits_that_are_written_together(
    all_stores: Callable[..., list[Store]], seed: int
) -> None:
    async def story() -> None:
        memory, *others = stores = all_stores()
        chance = Chance(seed, memory)
        for _ in range(COMMITS // 2):
            commits = [await chance.commit() for _ in range(chance.commits_at_once())]
            right = await outcomes(memory, commits)
            for other in others:
                assert await outcomes(other, commits) == right, commits
        for other in others:
            assert await everything(other) == await everything(memory)
        for store in stores:
            await store.close()

    run_story(story(), 120)
