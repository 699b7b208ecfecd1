"""Lives that write to a store until their power is cut, and the history that judges what the next life finds.

Every key but one belongs to one writer, and a writer does one thing at a time. So a key is as its last acknowledged
write has left it, or as the one write left it whose answer never came. `shared` is written by all, and counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from power import Cut, Say

from modelhall.adapters.store.sqlite import SqliteStore
from modelhall.core.errors import Conflict, HallError
from modelhall.core.kinds import KINDS, AnyResource, Dataset, Key
from modelhall.core.ports.store import Delete, Event, Put, Store, Write

WRITERS = 16
KEYS_EACH = 4
SHARED = "shared"
AFTER_CUT_S = 0.5
"""How long those are waited for who have not yet been told that the disk is gone."""

NAMES = [f"w{writer}-{number}" for writer in range(WRITERS) for number in range(KEYS_EACH)]
EVERY_NAME = [*NAMES, SHARED, "probe"]

Found = tuple[int, str, int]
"""Revision, the tag of the write that made it, and the count (of `shared` only)."""


def write_until_cut(
    say: Say,
    folder: Path,
    life: int,
    seed: int,
    after_s: float | None,
    while_opening: bool,
    options: dict[str, Any],
) -> None:
    """Open the store, say what is there, write; `after_s` None means: look, prove that it writes, close."""
    rng = random.Random(seed)
    cut = Cut(folder, after_s or 0.0)

    async def story() -> None:
        if while_opening:
            cut.start()
        store = SqliteStore(folder / "hall.db", **options)
        await _look(store, folder, say)
        await _probe(store, life, say, cut)
        if after_s is None:
            await store.close()
            return
        if not while_opening:
            cut.start()
        writers = [_Writer(number, life, rng.getrandbits(64), store, say, cut) for number in range(WRITERS)]
        tasks = [asyncio.create_task(writer.write()) for writer in writers]
        await asyncio.wait(tasks, timeout=after_s + AFTER_CUT_S)
        if not cut.is_over:
            cut.now()

    try:
        asyncio.run(asyncio.wait_for(story(), 20))
    except TimeoutError:
        say(("wrong", "the store hangs"))
    except (HallError, sqlite3.Error, OSError) as error:
        if not cut.is_made:
            say(("wrong", f"before any cut: {error!r}"))


async def _look(store: Store, folder: Path, say: Say) -> None:
    found = await asyncio.gather(*(store.get(_key(name)) for name in EVERY_NAME))
    with contextlib.closing(sqlite3.connect(folder / "hall.db")) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    shown = {resource.key.name: _shown(resource) for resource in found if resource is not None}
    highest = max((revision for revision, _, _ in shown.values()), default=0)
    # The feed has to tell what the keys say; the last few steps of it are enough.
    told = await store.changes(max(0, highest - 20))
    fed = {step.key.name: _shown(step.resource) if step.resource else None for step in told}
    odd = [name for name, state in fed.items() if state != shown.get(name)]
    say(("found", shown, integrity if not odd else f"the feed and the keys differ: {odd}"))


async def _probe(store: Store, life: int, say: Say, cut: Cut) -> None:
    """The store takes writes again, and counts on."""
    tag = f"probe-{life}"
    say(("try", tag, {"probe": tag}))
    before = await store.get(_key("probe"))
    (put,) = await store.commit([_put(before, "probe", tag)])
    if not cut.is_made:
        say(("done", tag, {"probe": put.revision}))
        say(("alive",))


@dataclass
class _Writer:
    number: int
    life: int
    seed: int
    store: Store
    say: Say
    cut: Cut

    async def write(self) -> None:
        """Do one thing after the other until the store says that it cannot."""
        try:
            await self._write()
        except HallError as error:
            if not self.cut.is_made:
                self.say(("wrong", f"writer {self.number} before any cut: {error!r}"))

    async def _write(self) -> None:
        rng = random.Random(self.seed)
        names = [f"w{self.number}-{number}" for number in range(KEYS_EACH)]
        own = {name: await self.store.get(_key(name)) for name in names}
        for turn in range(1_000_000):
            tag = f"{self.life}.{self.number}.{turn}"
            chosen = rng.sample(names, rng.choice((1, 1, 1, 2, KEYS_EACH)))
            is_shared = rng.random() < 0.1
            gone = {
                name for name in chosen if own[name] is not None and rng.random() < 0.25 and not is_shared
            }
            writes: list[Write] = [
                Delete(key=_key(name), revision=there.revision)
                if name in gone and (there := own[name]) is not None
                else _put(own[name], name, tag, "x" * rng.randrange(3000))
                for name in chosen
            ]
            if len(chosen) > 1:
                writes.append(Event(at=turn, key=_key(chosen[0]), name="torture.written", message=tag))
            if is_shared:
                shared = await self.store.get(_key(SHARED))
                writes.insert(rng.randrange(len(writes) + 1), _put(shared, SHARED, tag))
            effects = {name: None if name in gone else tag for name in chosen}
            self.say(("try", tag, {**effects, SHARED: tag} if is_shared else effects))
            is_vain = self.cut.is_over
            try:
                put = await self.store.commit(writes)
            except Conflict as error:
                if self.cut.is_made:
                    return
                self.say(("refused", tag))
                if is_shared:
                    continue
                self.say(("wrong", f"{tag} was refused, though nobody else writes there: {error}"))
                return
            if is_vain:
                self.say(("wrong", f"{tag} was begun after the cut and acknowledged"))
            if self.cut.is_made:
                return
            own.update(dict.fromkeys(chosen))
            own.update({resource.key.name: resource for resource in put if resource.key.name != SHARED})
            self.say(("done", tag, {resource.key.name: resource.revision for resource in put}))


@dataclass
class Wrong:
    """What a power cut must not do. `what`: lost, half, damaged, counter, refused."""

    what: str
    text: str


@dataclass
class History:
    """What was tried and what was acknowledged, over any number of lives of one disk."""

    known: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Revision and tag of every key that is there."""
    unknown: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    """What writes without an answer would leave, by tag."""
    shared: int = 0
    highest: int = 0
    acknowledged: int = 0
    landed: int = 0
    """Writes without an answer that were found done."""
    looked: int = 0
    alive: int = 0

    def hear(self, said: Sequence[tuple[Any, ...]]) -> list[Wrong]:
        """Take in what a life said, and say what is wrong with it."""
        wrong: list[Wrong] = []
        for word, *rest in said:
            match word:
                case "found":
                    self.looked += 1
                    wrong += self._judge(*rest)
                case "try":
                    tag, effects = rest
                    self.unknown[tag] = effects
                case "refused":
                    del self.unknown[rest[0]]
                case "done":
                    tag, revisions = rest
                    wrong += self._acknowledge(tag, revisions)
                case "alive":
                    self.alive += 1
                case _:
                    wrong.append(Wrong("refused", str(rest)))
        return wrong

    def _acknowledge(self, tag: str, revisions: Mapping[str, int]) -> list[Wrong]:
        newest = max(revisions.values(), default=0)
        is_back = tag.startswith("probe") and newest <= self.highest
        before, self.highest = self.highest, max(self.highest, newest)
        self.acknowledged += 1
        self._apply(self.unknown.pop(tag), revisions)
        return [Wrong("counter", f"{newest} was given after {before}")] if is_back else []

    def _apply(self, effects: Mapping[str, str | None], revisions: Mapping[str, int]) -> None:
        self.shared += SHARED in effects
        for name, tag in effects.items():
            if tag is None:
                self.known.pop(name, None)
            elif name != SHARED:
                self.known[name] = (revisions[name], tag)

    def _judge(self, found: Mapping[str, Found], integrity: str) -> list[Wrong]:
        wrong = [] if integrity == "ok" else [Wrong("damaged", integrity)]
        for tag, effects in self.unknown.items():
            done = {
                name: (found[name][1] if name in found else None) == after
                for name, after in effects.items()
                if name != SHARED
            }
            if all(done.values()):
                self.landed += 1
                self._apply(effects, {name: state[0] for name, state in found.items()})
            elif any(done.values()):
                wrong.append(Wrong("half", f"{tag} is done in part: {done}"))
        self.unknown.clear()
        for name in NAMES:
            is_there = found[name][:2] if name in found else None
            if is_there != self.known.get(name):
                wrong.append(Wrong("lost", f"{name} is {is_there}, not {self.known.get(name)}"))
        count = found[SHARED][2] if SHARED in found else 0
        if count != self.shared:
            what = "lost" if count < self.shared else "half"
            wrong.append(Wrong(what, f"{count} of {self.shared} writes to one key are there"))
        revisions = [state[0] for state in found.values()]
        if len(set(revisions)) < len(revisions):
            wrong.append(Wrong("counter", "two resources have one revision"))
        return wrong


def _key(name: str) -> Key:
    return Key("dataset", "default", name)


def _put(before: AnyResource | None, name: str, tag: str, source: str = "x") -> Put:
    """A resource that says which write made it; `shared` also says how many did."""
    count = int(before.document.labels["count"]) + 1 if before else 1
    document = Dataset(name=name, source=source or "x", labels={"tag": tag, "count": str(count)})
    if before is not None:
        return Put(resource=before.model_copy(update={"document": document}))
    kind = KINDS["dataset"]
    return Put(
        resource=kind.resource(
            document=document, status=kind.status(), uid=tag, created_at=1.0, updated_at=1.0
        )
    )


def _shown(resource: AnyResource) -> Found:
    labels = resource.document.labels
    return resource.revision, labels["tag"], int(labels["count"])
