"""Where lines are kept that must never change: appended durably, by several processes, and read in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Part(NamedTuple):
    """One stretch of a trail. Only the newest grows; older ones may be archived, the oldest first."""

    name: str
    """Names sort by age."""
    stamp: str
    """Another one whenever the content may be another."""


class Lines(NamedTuple):
    """The content of one part."""

    whole: tuple[bytes, ...]
    torn: bytes = b""
    """What follows the last line end: the beginning of a line nobody was told is there."""


@dataclass(frozen=True, kw_only=True)
class Tail:
    """What has to be known to append, as it is while nobody else can."""

    unread: tuple[bytes, ...]
    """The lines that this trail object has neither written nor shown before; at first, those of the newest part
    that has any."""
    begins: bool
    """Whether what is appended begins a part."""
    owed: tuple[bytes, ...] = ()
    """What was kept by `owe` and is to be written down now; it may be shown twice, after a crash."""
    torn: bytes = b""
    """What was found after the last line end and cut off; it may be shown twice, after a crash."""


class Trail(Protocol):
    """Lines of bytes without a line end. Synchronous: the one who appends waits for the disk, in a thread.

    Methods raise NotNow when the trail cannot be reached or written, `Full` when there is no room, and Tampered when
    what this object has written is no longer there.
    """

    def append(self, make: Callable[[Tail], Sequence[bytes]]) -> None:
        """Append the lines that `make` makes of the tail; durable, all of them, when this returns.

        When `make` or the writing fails, the trail stays as it was.
        """
        ...

    def owe(self, lines: Sequence[bytes]) -> None:
        """Keep lines that could not be appended, in room set aside for it, until the next append has written down
        what they say."""
        ...

    def parts(self) -> list[Part]:
        """All parts, oldest first; none before the first append."""
        ...

    def read(self, part: str) -> Lines:
        """The content of a part, as it is between two appends. Raises Tampered when the part is not there."""
        ...
