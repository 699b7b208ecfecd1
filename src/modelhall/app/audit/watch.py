"""Looks again and again whether the log still is what was written, at the cost of what has changed since."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modelhall.core.errors import Tampered
from modelhall.core.ports.trail import Part, Trail
from modelhall.trust.audit.chain import START, Link, links
from modelhall.trust.audit.heads import VerifyingKey
from modelhall.trust.audit.proof import Expected


class _Seen(NamedTuple):
    """A part that was found to be what was written."""

    stamp: str
    start: Link | None
    end: Link | None


class Watch:
    """What one process has seen of a trail. Used by one thread at a time."""

    def __init__(self, trail: Trail, key: VerifyingKey) -> None:
        self._trail = trail
        self._key = key
        self._seen: dict[str, _Seen] = {}
        self._end = START

    def look(self, written: Link | None) -> None:
        """Verify all parts that are not as they were at the last look. `written` is the last entry that this process
        knows to be there. Raises Tampered, or NotNow when the trail cannot be read now."""
        expected = Expected((one.number, one.digest) for one in (self._end, written) if one is not None)
        seen: dict[str, _Seen] = {}
        end: Link | None = None
        parts = self._trail.parts()
        for part in parts:
            before = self._seen.get(part.name)
            if before is not None and before[:2] == (part.stamp, end):
                seen[part.name] = before
            else:
                seen[part.name] = _Seen(
                    part.stamp, end, self._verified(part, end, expected, part == parts[-1])
                )
            end = seen[part.name].end
        expected.end(end or START)
        self._seen, self._end = seen, end or START

    def _verified(self, part: Part, start: Link | None, expected: Expected, is_newest: bool) -> Link | None:
        lines = self._trail.read(part.name)
        # Half of a line at the end is what a crash leaves; anywhere else it is what is left of an entry.
        content: Iterable[bytes] = lines.whole if is_newest or not lines.torn else (*lines.whole, lines.torn)
        end = start
        try:
            for _, link in links(content, start, self._key):
                expected.meet(link, end.signed if end else 0)
                end = link
        except Tampered as error:
            raise Tampered(f"{part.name}: {error.message}", entry=error.entry) from None
        return end
