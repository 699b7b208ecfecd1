"""Proof that a log is what was written: all of it, in its order, and none besides.

The chain shows whatever was changed by somebody without the signing key, up to the last head entry in it. A head that
was kept elsewhere shows the rest, up to the entry it is of: what was cut off, and what somebody with the key has
written anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from modelhall.core.errors import Rejected, Tampered
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.trail import Lines
from modelhall.trust.audit.chain import START, Link, links
from modelhall.trust.audit.entry import Entry
from modelhall.trust.audit.heads import Head, VerifyingKey


class Wrong(Frozen):
    """The first thing that is wrong."""

    entry: int | None
    """Number of the entry; None when there is no telling."""
    part: str
    """Where it is, or should be; empty when there is no telling."""
    problem: str


class Verdict(Frozen):
    """What a log was found to be."""

    first: int
    """Number of its first entry; 0 when it has none."""
    last: int
    """Number of its last entry, or of the last before the one that is wrong."""
    digest: str
    """Of that entry."""
    signed: int
    """The last entry that is under a signature."""
    kept: int | None
    """The entry that the head kept elsewhere is of; None when none was given."""
    open: tuple[Entry, ...] = ()
    """Intents of which it is not said what became: they are being carried out, or a crash came between."""
    torn_bytes: int = 0
    """The beginning of a line at the end, which nobody was told is there."""
    wrong: Wrong | None = None

    @property
    def is_well(self) -> bool:
        return self.wrong is None


class Expected:
    """Entries whose digests are known from elsewhere."""

    def __init__(self, known: Iterable[tuple[int, str]]) -> None:
        self._known = dict(known)

    def meet(self, link: Link, signed_before: int) -> None:
        """Raise Tampered when the entry that `link` has got to should be another one."""
        if self._known.get(link.number, link.digest) != link.digest:
            since = (
                f"; what is wrong begins between entry {signed_before + 1} and it" if signed_before else ""
            )
            raise Tampered(
                f"entry {link.number} is not the one that was known elsewhere: it has the digest "
                f"{link.digest[:12]}…, not {self._known[link.number][:12]}…{since}",
                entry=link.number,
            )

    def end(self, link: Link) -> None:
        """Raise Tampered when the chain ends before an entry that is known."""
        last = max(self._known, default=0)
        if last > link.number:
            raise Tampered(
                f"the log was cut: it ends with entry {link.number}, and entry {last} is known elsewhere",
                entry=link.number + 1,
            )


def prove(
    parts: Iterable[tuple[str, Lines]],
    key: VerifyingKey,
    *,
    kept: Head | None = None,
    known: Link | None = None,
    archived: bool = False,
) -> Verdict:
    """Verify a log from its first part on. `kept` is a head kept elsewhere, `known` what this process remembers;
    `archived` allows that older parts are not there. Raises Rejected when `kept` is older than what is there."""
    walk = _Walk(key, kept=kept, known=known, archived=archived)
    where = ""
    wrong = None
    try:
        walk.check_head()
        for name, lines in parts:
            where = name
            walk.through(lines)
        where = ""
        walk.end()
    except Tampered as error:
        wrong = Wrong(entry=error.entry, part=where, problem=error.message)
    end = walk.link or START
    return Verdict(
        first=walk.first,
        last=end.number,
        digest=end.digest,
        signed=max(0, end.signed - 1),
        kept=kept.number if kept else None,
        open=tuple(walk.open.values()),
        torn_bytes=len(walk.torn),
        wrong=wrong,
    )


class _Walk:
    """Goes through a log once, from its first entry to its last."""

    def __init__(self, key: VerifyingKey, *, kept: Head | None, known: Link | None, archived: bool) -> None:
        self._key = key
        self._kept = kept
        self._expected = Expected((one.number, one.digest) for one in (kept, known) if one is not None)
        self.link: Link | None = None if archived else START
        self.first = 0
        self.open: dict[int, Entry] = {}
        self.torn = b""

    def check_head(self) -> None:
        if self._kept is not None and (problem := self._key.problem(self._kept)):
            raise Tampered(f"the head that was given is not one of this log: {problem}")

    def through(self, lines: Lines) -> None:
        if self.torn:
            assert self.link is not None
            number = self.link.number + 1
            raise Tampered(f"entry {number} is half of a line, and another part follows", entry=number)
        for entry, link in links(lines.whole, self.link, self._key):
            if not self.first:
                self._begin(entry)
            self._expected.meet(link, self.link.signed if self.link else 0)
            self.link = link
            if entry.sort == "intent":
                self.open[entry.number] = entry
            elif entry.sort == "outcome" and entry.of is not None:
                self.open.pop(entry.of, None)
        self.torn = lines.torn

    def end(self) -> None:
        self._expected.end(self.link or START)

    def _begin(self, entry: Entry) -> None:
        self.first = entry.number
        if self._kept is not None and self._kept.number < entry.number - 1:
            raise Rejected(
                f"the head that was given is of entry {self._kept.number}, and the log begins with entry "
                f"{entry.number}; bring the archived parts back, or give a newer head"
            )
        self._expected.meet(Link(entry.number - 1, entry.previous, 0), 0)
