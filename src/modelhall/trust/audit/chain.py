"""The chain: every entry names the digest of the one before, and every so often a head entry signs all of them.

A head entry opens the log and every part of it, so that what is left can be verified when older parts were archived;
there is one at every number that `HEAD_EVERY` divides; and one more may be asked for at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from modelhall.core.errors import Tampered
from modelhall.trust.audit.entry import Draft, Entry, decode, encode
from modelhall.trust.audit.heads import Head, SigningKey, VerifyingKey

HEAD_EVERY = 500
THE_LOG = "hall"
"""Who writes what the log says about itself."""


class Link(NamedTuple):
    """Where a chain has got to."""

    number: int
    """Of its last entry; 0 before the first."""
    digest: str
    signed: int
    """Number of its last head entry; all entries before that one are under its signature."""


START = Link(number=0, digest="0" * 64, signed=0)


class Extension(NamedTuple):
    """What is to be appended."""

    lines: list[bytes]
    numbers: list[int]
    """Of the drafts, in their order."""
    end: Link


def extend(
    after: Link,
    drafts: Sequence[Draft],
    *,
    key: SigningKey,
    at: float,
    begins: bool = False,
    sign: bool = False,
) -> Extension:
    """Put drafts in their place behind `after`, with the head entries that belong there: a first one where this
    `begins` a part, a last one to `sign` what is not under a signature yet."""
    lines: list[bytes] = []
    numbers: list[int] = []
    end = after

    def put(drafted: Draft) -> None:
        nonlocal end
        line, own = encode(drafted, number=end.number + 1, previous=end.digest)
        is_head = drafted.sort == "head"
        end = Link(end.number + 1, own, end.number + 1 if is_head else end.signed)
        lines.append(line)

    if begins and drafts:
        put(_head_entry(end, key, at))
    for drafted in drafts:
        if (end.number + 1) % HEAD_EVERY == 0:
            put(_head_entry(end, key, at))
        put(drafted)
        numbers.append(end.number)
    if sign and end.number > end.signed:
        put(_head_entry(end, key, at))
    return Extension(lines, numbers, end)


def follow(line: bytes, after: Link, key: VerifyingKey) -> tuple[Entry, Link]:
    """The entry in the line that follows `after`. Raises Tampered, which says what is wrong with it."""
    number = after.number + 1
    entry = decode(line, number=number)
    if entry.number != number:
        what = "is missing" if entry.number > number else "is not here"
        raise Tampered(f"entry {number} {what}: entry {entry.number} stands in its place", entry=number)
    if entry.previous != after.digest:
        raise Tampered(
            f"entry {number} does not follow the entry before it: it names the digest {entry.previous[:12]}…, "
            f"and that one has {after.digest[:12]}…; one of the two was replaced",
            entry=number,
        )
    return entry, _linked(entry, after, key)


def resume(line: bytes, key: VerifyingKey) -> tuple[Entry, Link]:
    """The first entry of a part whose predecessors are not there: a head entry vouches for them. Raises Tampered."""
    entry = decode(line, number=1)
    before = Link(entry.number - 1, entry.previous, entry.number - 1)
    if entry.sort != "head":
        raise Tampered(
            f"entry {entry.number} opens a part and is no signed head; entries before it were removed",
            entry=entry.number,
        )
    return entry, _linked(entry, before, key)


def links(lines: Iterable[bytes], after: Link | None, key: VerifyingKey) -> Iterator[tuple[Entry, Link]]:
    """The entries in lines that follow `after`, each with where the chain is with it; `after` None: the first one
    vouches for where they begin. Raises Tampered at the first that is wrong."""
    for line in lines:
        entry, after = follow(line, after, key) if after is not None else resume(line, key)
        yield entry, after


def _head_entry(end: Link, key: SigningKey, at: float) -> Draft:
    at = round(at, 3)
    signed = key.signature(end.number, end.digest, at)
    return Draft(sort="head", at=at, who=THE_LOG, what="audit.signed", signed=signed)


def _linked(entry: Entry, after: Link, key: VerifyingKey) -> Link:
    """Where the chain is with `entry`, which follows `after`. Raises Tampered for a head that was not signed here."""
    if entry.sort != "head":
        return Link(entry.number, entry.digest, after.signed)
    if entry.signed is None:
        raise Tampered(f"entry {entry.number} is a head without a signature", entry=entry.number)
    head = Head(number=after.number, digest=after.digest, at=entry.at, **entry.signed.model_dump())
    if problem := key.problem(head):
        raise Tampered(
            f"entry {entry.number} is a forged head of what stands before it: {problem}", entry=entry.number
        )
    return Link(entry.number, entry.digest, entry.number)
