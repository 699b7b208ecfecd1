"""Verify: is everything there that anything names, and is it what it was?

Reads every blob, every resource and the book. What is damaged is put aside and told of by what depends on it; what of
it can be had again is left to `repair.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from modelhall.adapters.book.sqlite import open_book
from modelhall.adapters.store import open_store
from modelhall.app.keep import Show, repair, signatures, unseen
from modelhall.app.keep.known import Artifact, Known, look
from modelhall.app.keep.shelves import Shelves
from modelhall.app.keys import blobs_by_project, open_ring
from modelhall.core.errors import Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.references import references
from modelhall.ledger.journal import PATTERN
from modelhall.settings import Settings


class Damage(Frozen):
    """One artifact that is not whole, or one blob that nobody names and that is damaged."""

    project: str
    """Empty for a blob from before blobs were kept apart by project."""
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
    unsealed: int
    """Blobs that lie there as they are, in a hall that seals: from before it did."""
    resources: int
    damage: tuple[Damage, ...]
    quarantined: tuple[str, ...]
    """Blobs that were put aside, as PROJECT/DIGEST."""
    dangling: tuple[str, ...]
    """What names something that is not there, a sentence each."""
    signatures: tuple[str, ...]
    """Model versions that are not what was signed, a sentence each."""
    book: tuple[str, ...]
    """What is wrong with the ledger, a sentence each."""

    @property
    def is_well(self) -> bool:
        return not (self.damage or self.dangling or self.signatures or self.book)


async def verify(
    settings: Settings, *, now: float, with_repair: bool = True, show: Show = unseen
) -> Verified:
    """Look at everything the hall of `settings.home` keeps, and with `with_repair` have computed again what can be.
    Raises Rejected when there is no hall."""
    if not (settings.home / "blobs").is_dir():
        raise Rejected(f"there is no hall in {settings.home}; --home chooses another")
    ring = open_ring(settings, lambda: now, make=False)
    store = open_store(settings.store_url, writable=with_repair)
    try:
        # The store first: everything it names now was in the blobs before.
        known = await look(store)
        blobs = blobs_by_project(settings, ring)
        shelves = Shelves(blobs, show)
        dangling = list(_dangling(known))
        damage = list(_damage(known, shelves))
        forged = tuple(signatures.problems(known, blobs, settings.home))
        quarantined = shelves.put_aside() if with_repair else ()
        if with_repair and damage:
            artifacts = {Artifact(one.project, one.artifact) for one in damage}
            outcomes = await repair.compute_again(store, artifacts, now=now)
            damage = [
                one.model_copy(update=_told(outcomes.get(Artifact(one.project, one.artifact))))
                for one in damage
            ]
        book = await _problems_of_the_book(settings.home)
    finally:
        await store.close()
    return Verified(
        blobs=shelves.count,
        size_bytes=shelves.size_bytes,
        unsealed=shelves.unsealed if settings.seal else 0,
        resources=len(known.resources),
        damage=tuple(damage),
        quarantined=quarantined,
        dangling=tuple(dangling),
        signatures=forged,
        book=tuple(book),
    )


def _damage(known: Known, shelves: Shelves) -> Iterator[Damage]:
    """Every artifact that is not whole, and every damaged blob that belongs to none."""
    explained: set[Artifact] = set()
    for artifact, needed_by in sorted(known.artifacts.items()):
        problem, broken = shelves.problem_of(artifact)
        explained |= broken
        if problem:
            yield _of(artifact, problem, needed_by)
    for blob in sorted(shelves.bad.keys() - explained):
        yield _of(blob, shelves.bad[blob], ())


def _of(artifact: Artifact, problem: str, needed_by: Iterable[str]) -> Damage:
    return Damage(
        project=artifact.project,
        artifact=artifact.digest,
        problem=problem,
        needed_by=tuple(sorted(set(needed_by))),
    )


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
