"""A store as JSON lines, one a resource, and back: the same whichever store they come from or go to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from modelhall.core.errors import Conflict, Gone, NotNow, Rejected
from modelhall.core.kinds import KINDS, AnyResource, Key, resource_from_json
from modelhall.core.ports.store import Event, Put, Store

PAGE = 500
TRIES = 10
EVENTS_KEPT = 10_000
SKIPPED = 1_000_000
"""How far a restored store's revisions are ahead of those anybody can have seen since the backup."""
LONGEST_LINE = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What the store held at one revision."""

    revision: int
    counts: dict[str, int]
    run_uids: frozenset[str]


async def all_of(store: Store, kind: str) -> AsyncIterator[AnyResource]:
    """Every resource of one kind, page by page."""
    after: Key | None = None
    while page := await store.find(kind, after=after, limit=PAGE):
        for resource in page:
            yield resource
        after = page[-1].key


async def write(store: Store, path: Path) -> Cut:
    """Write what `store` holds at one revision to `path`, while others go on writing to it. Raises NotNow when they
    remove so much meanwhile that it cannot be followed."""
    for _ in range(TRIES):
        try:
            return await _write(store, path)
        except Gone:
            continue
    raise NotNow("the store changes too fast to be copied; try again when less is removed", delay_s=60.0)


async def _write(store: Store, path: Path) -> Cut:
    revision = await store.revision()
    pages = path.with_name(f"{path.name}.pages")
    with pages.open("wb") as file:
        for kind in KINDS:
            async for resource in all_of(store, kind):
                file.write(f"{resource.key.path}\t".encode() + _line(resource))
    # A page may show what came after the revision, or be older than the next: what has changed since is taken as it
    # is now, until nothing has.
    newer: dict[str, AnyResource | None] = {}
    while changes := await store.changes(revision):
        newer |= {change.key.path: change.resource for change in changes}
        revision = changes[-1].revision
    counts = dict.fromkeys(KINDS, 0)
    uids = set()
    with path.open("wb") as out:
        for key, line in _lines_of(pages, newer):
            out.write(line)
            kind = key.partition("/")[0]
            counts[kind] += 1
            if kind == "run":
                uids.add(json.loads(line)["uid"])
    pages.unlink()
    return Cut(revision=revision, counts=counts, run_uids=frozenset(uids))


def _lines_of(pages: Path, newer: dict[str, AnyResource | None]) -> Iterator[tuple[str, bytes]]:
    """Path and line of each resource, those in `newer` as they are there."""
    with pages.open("rb") as file:
        for row in file:
            key, _, line = row.partition(b"\t")
            if key.decode() not in newer:
                yield key.decode(), line
    yield from ((key, _line(resource)) for key, resource in newer.items() if resource is not None)


def _line(resource: AnyResource) -> bytes:
    return resource.model_dump_json().encode() + b"\n"


async def write_events(store: Store, path: Path) -> int:
    """Write the newest events to `path`, oldest first; return how many."""
    found = await store.events(limit=EVENTS_KEPT)
    with path.open("w", encoding="utf-8") as out:
        for event in reversed(found):
            facts = {"at": event.at, "key": event.key, "name": event.name, "message": event.message}
            out.write(json.dumps(facts) + "\n")
    return len(found)


async def read(store: Store, path: Path, *, revision: int) -> dict[str, int]:
    """Put the resources of `path` into an empty store, whose revisions then go on far above `revision`: who followed
    the store they come from is told to read anew. Return how many there were of each kind."""
    counts = dict.fromkeys(KINDS, 0)
    puts: list[Put] = []
    for number, line in enumerate(_lines(path), 1):
        resource = _as_restored(_parsed(line, path.name, number))
        counts[resource.key.kind] += 1
        puts.append(Put(resource=resource))
        if len(puts) == PAGE:
            await _commit(store, puts)
            puts = []
    await _commit(store, puts)
    await store.skip_to(revision + SKIPPED)
    return counts


async def read_events(store: Store, path: Path) -> None:
    """Put the events of `path` into a store."""
    events: list[Event] = []
    for number, line in enumerate(_lines(path), 1):
        events.append(_parsed_event(line, path.name, number))
        if len(events) == PAGE:
            await store.commit(events)
            events = []
    if events:
        await store.commit(events)


async def _commit(store: Store, puts: list[Put]) -> None:
    try:
        if puts:
            await store.commit(puts)
    except Conflict as error:
        raise Rejected(f"a resource is there twice: {error}") from None


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise Rejected(f"{path.name} has a line of more than {LONGEST_LINE} bytes, as no backup has")
            yield line


def _parsed(line: bytes, name: str, number: int) -> AnyResource:
    try:
        resource = resource_from_json(json.loads(line)["document"]["kind"], line)
        if not all("/" not in part for part in resource.key):
            raise ValueError("a name with a slash")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else repr(error)
        raise Rejected(f"{name}, line {number} is no resource this hall knows: {reason}") from None
    return resource


def _as_restored(resource: AnyResource) -> AnyResource:
    """As it was, but not stored yet, and without addresses: who listens there by now is none of ours."""
    resource = resource.model_copy(update={"revision": 0})
    if resource.key.kind == "run":
        return resource.with_status(address=None)
    if resource.key.kind == "service":
        return resource.with_status(replicas=())
    return resource


def _parsed_event(line: bytes, name: str, number: int) -> Event:
    try:
        facts = json.loads(line)
        kind, project, of = facts["key"]
        return Event(
            at=float(facts["at"]),
            key=Key(str(kind), str(project), str(of)),
            name=str(facts["name"]),
            message=str(facts["message"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Rejected(f"{name}, line {number} is no event: {error!r}") from None
