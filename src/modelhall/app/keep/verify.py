"""Verify: is everything there that anything names, and is it what it was?

Reads every blob, every resource and the book. What is damaged is put aside and told of by what depends on it; what of
it can be had again is left to `repair.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelhall.adapters.blobs import open_blobs
from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.store import open_store
from modelhall.app.keep import Show, repair, unseen
from modelhall.app.keep.known import Known, look
from modelhall.core.errors import Broken, NotFound, Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.blobs import Blobs
from modelhall.core.references import references
from modelhall.ledger.journal import PATTERN
from modelhall.settings import Settings

THREADS = 4


class Damage(Frozen):
    """One artifact that is not whole, or one blob that nobody names and that is damaged."""

    artifact: str
    problem: str
    needed_by: tuple[str, ...]
    """What depends on it, in words: versions of data sets and models, services, results."""
    outcome: str = ""
    """What was done about it, or why nothing can be; empty when nothing was to be done."""
    mended: bool = False
    """Whether it is computed again."""


class Verified(Frozen):
    """What was found."""

    blobs: int
    size_bytes: int
    resources: int
    damage: tuple[Damage, ...]
    quarantined: tuple[str, ...]
    """Blobs that were put aside."""
    dangling: tuple[str, ...]
    """What names something that is not there, a sentence each."""
    book: tuple[str, ...]
    """What is wrong with the ledger, a sentence each."""

    @property
    def is_well(self) -> bool:
        return not (self.damage or self.dangling or self.book)


async def verify(
    settings: Settings, *, now: float, with_repair: bool = True, show: Show = unseen
) -> Verified:
    """Look at everything the hall of `settings.home` keeps, and with `with_repair` have computed again what can be.
    Raises Rejected when there is no hall."""
    if not (settings.home / "blobs").is_dir():
        raise Rejected(f"there is no hall in {settings.home}; --home chooses another")
    store, blobs = open_store(settings.store_url, writable=with_repair), open_blobs(settings.blobs)
    try:
        # The store first: everything it names now was in the blobs before.
        known = await look(store)
        bad, count, size_bytes = _check_blobs(blobs, show)
        dangling = list(_dangling(known))
        damage = list(_damage(known, bad, blobs))
        quarantined = _put_aside(blobs, bad) if with_repair else ()
        if with_repair and damage:
            outcomes = await repair.compute_again(store, {one.artifact for one in damage}, now=now)
            damage = [one.model_copy(update=_told(outcomes.get(one.artifact))) for one in damage]
        book = await _problems_of_the_book(settings.home)
    finally:
        await store.close()
    return Verified(
        blobs=count,
        size_bytes=size_bytes,
        resources=len(known.resources),
        damage=tuple(damage),
        quarantined=quarantined,
        dangling=tuple(dangling),
        book=tuple(book),
    )


def _check_blobs(blobs: Blobs, show: Show) -> tuple[dict[str, str], int, int]:
    """Read every blob; return those that are damaged and why, how many there are, and their size."""
    found = list(blobs.all())
    total = sum(blob.size_bytes for blob in found)
    bad: dict[str, str] = {}
    done = 0
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as threads:
        problems = threads.map(lambda blob: _problem(blobs, blob.digest), found)
        for blob, problem in zip(found, problems, strict=True):
            done += blob.size_bytes
            show("blobs", done, total)
            if problem:
                bad[blob.digest] = problem
    return bad, len(found), total


def _problem(blobs: Blobs, digest: str) -> str:
    try:
        blobs.verify(digest)
    except Broken as error:
        return error.message
    except NotFound:
        return ""  # put aside by somebody else since it was listed
    return ""


def _damage(known: Known, bad: dict[str, str], blobs: Blobs) -> Iterator[Damage]:
    """Every artifact that is not whole, and every damaged blob that belongs to none."""
    explained = set()
    for artifact, needed_by in sorted(known.artifacts.items()):
        parts, problem = _parts(blobs, artifact, bad)
        broken = [part for part in parts if part in bad]
        explained |= {*broken}
        if problem or broken:
            yield Damage(
                artifact=artifact,
                problem=problem or bad[broken[0]],
                needed_by=tuple(sorted(set(needed_by))),
            )
    for digest in sorted(bad.keys() - explained):
        yield Damage(artifact=digest, problem=bad[digest], needed_by=())


def _parts(blobs: Blobs, artifact: str, bad: dict[str, str]) -> tuple[list[str], str]:
    """The blobs an artifact is made of, and why it is not whole if one of them is not there."""
    if artifact in bad:
        return [artifact], ""
    try:
        parts = blobs.files_of(artifact)
        for part in parts:
            if part not in bad:
                blobs.open(part).close()
    except (NotFound, Broken) as error:
        return [artifact], error.message
    return [artifact, *parts], ""


def _put_aside(blobs: Blobs, bad: Iterable[str]) -> tuple[str, ...]:
    put_aside = []
    for digest in sorted(bad):
        # Looked at again: it may have been put anew since, and what is whole stays.
        if _problem(blobs, digest):
            blobs.quarantine(digest)
            put_aside.append(digest)
    return tuple(put_aside)


def _told(outcome: tuple[bool, str] | None) -> dict[str, object]:
    return {} if outcome is None else {"mended": outcome[0], "outcome": outcome[1]}


def _dangling(known: Known) -> Iterator[str]:
    """A sentence for everything that is named and not there."""
    for key, resource in known.resources.items():
        document = resource.document
        for name, target in references(document).items():
            if target not in known.resources:
                yield f"{key} names {target} as its {name}, which is not there"
        owner = getattr(document, "owner", None)
        if owner is not None and Key.parse(owner) not in known.resources:
            yield f"{key} was made for {Key.parse(owner)}, which is not there"
        project = Key("project", DEFAULT_PROJECT, key.project)
        if key.project != DEFAULT_PROJECT and project not in known.resources:
            yield f"{key} is in {project}, which is not there"
        if key.kind == "run" and resource.status.state in ACTIVE:
            node = Key("node", DEFAULT_PROJECT, resource.status.node or "")
            if node not in known.resources:
                yield f"{key} is on node {resource.status.node}, which is not there"


async def _problems_of_the_book(home: Path) -> list[str]:
    if not (home / "book.db").exists():
        return []
    book = open_book(home)
    try:
        found = [f"the ledger in book.db is damaged: {problem}" for problem in await book.problems()]
        for journal in sorted((home / "usage").glob(PATTERN)):
            name = f"journal/{journal.name}"
            read_to = (await book.marks([name])).get(name, 0.0)
            # One that is not there any more has been read to its end since.
            if journal.exists() and read_to > journal.stat().st_size:
                found.append(f"the ledger has read {journal.name} further than it goes")
        return found
    finally:
        await book.close()
