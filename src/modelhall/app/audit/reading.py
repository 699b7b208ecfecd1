"""Reads the log: entries a page at a time, and the proof. Needs no hall that is up: the folder is enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from pydantic import ValidationError

from modelhall.adapters.trail.folder import open_trail
from modelhall.core.errors import Rejected, Tampered
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.trail import Lines, Trail
from modelhall.trust.audit.chain import Link
from modelhall.trust.audit.entry import Entry
from modelhall.trust.audit.heads import Head, VerifyingKey, signing_key_in
from modelhall.trust.audit.proof import Verdict, prove

FOLDER, KEYS = "audit", "keys"
"""In the home."""
PARTS_A_PAGE = 4
"""So many parts are read for one page at most: a rare name costs more pages, not a longer wait."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries; what is not set does not matter."""

    who: str | None = None
    """A part of the name."""
    project: str | None = None
    since: float | None = None
    """Seconds since the epoch."""

    def has(self, entry: Entry) -> bool:
        return (
            (self.who is None or self.who in entry.who)
            and (self.since is None or entry.at >= self.since)
            and (self.project is None or self.project in _projects(entry))
        )


class Page(Frozen):
    """Some entries, oldest first."""

    entries: tuple[Entry, ...]
    next: int | None
    """What to give as `before` for older ones; None when there are none. A page may be short, or empty, and others
    still follow."""
    unreadable: int = 0
    """Lines on the way that are no entries; the proof says more."""


def page(trail: Trail, wanted: Wanted, *, limit: int, before: int | None = None) -> Page:
    """The newest entries that are wanted, of those with a number less than `before`."""
    looking = _Looking(wanted, limit)
    read = 0
    for part in reversed(trail.parts()):
        if looking.is_over or read == PARTS_A_PAGE:
            break
        lines = trail.read(part.name).whole
        begins = _entry(lines[0]) if lines else None
        if before is None or begins is None or begins.number < before:
            looking.through(lines, before)
            read += 1
        # Entries stand in the order of time, but for a clock that was set back.
        if wanted.since is not None and begins is not None and begins.at < wanted.since:
            looking.next = None
            break
    return Page(entries=tuple(reversed(looking.found)), next=looking.next, unreadable=looking.unreadable)


def verdict(
    trail: Trail,
    key: VerifyingKey,
    *,
    kept: Head | None = None,
    known: Link | None = None,
    archived: bool = False,
) -> Verdict:
    """Whether the log is what was written. Raises Rejected when `kept` is older than what is there."""

    def parts() -> Iterator[tuple[str, Lines]]:
        for part in trail.parts():
            yield part.name, trail.read(part.name)

    return prove(parts(), key, kept=kept, known=known, archived=archived)


def trail_in(folder: Path) -> Trail:
    """The log in a folder, to read. Raises Rejected when there is none."""
    if not folder.is_dir():
        raise Rejected(f"there is no audit log in {folder}; --home chooses another hall")
    return open_trail(folder)


def head_of(home: Path, *, now: float) -> Head:
    """A fresh head of the log of a hall that is not up. Raises Tampered rather than sign what is not well."""
    trail, key = trail_in(home / FOLDER), signing_key_in(home / KEYS)
    found = verdict(trail, key.public, archived=True)
    if found.wrong is not None:
        raise Tampered(found.wrong.problem, entry=found.wrong.entry)
    return key.sign(found.last, found.digest, round(now, 3))


class _Looking:
    """Looks for entries, from the newest backwards."""

    def __init__(self, wanted: Wanted, limit: int) -> None:
        self._wanted = wanted
        self._limit = limit
        self.found: list[Entry] = []
        self.unreadable = 0
        self.next: int | None = None
        """The oldest entry that was looked at, if there may be older ones."""

    @property
    def is_over(self) -> bool:
        return len(self.found) == self._limit

    def through(self, lines: Sequence[bytes], before: int | None) -> None:
        """Look at one part's entries with numbers less than `before`."""
        for entry in map(_entry, reversed(lines)):
            if entry is None:
                self.unreadable += 1
            elif before is None or entry.number < before:
                self.next = entry.number if entry.number > 1 else None
                if self._wanted.has(entry):
                    self.found.append(entry)
                if self.is_over:
                    return


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


def _projects(entry: Entry) -> Iterator[str]:
    """The projects of what it was done to: of `run/default/train`, and of `/api/v1/runs/train?project=default`."""
    for target in (*entry.targets, *(entry.outcome.revisions if entry.outcome else ())):
        if target.startswith("/"):
            yield from parse_qs(target.partition("?")[2]).get("project", [])
        elif target.count("/") == 2:
            yield target.split("/")[1]
