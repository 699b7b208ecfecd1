"""A trail in memory: for the twin and for tests. Nothing outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelhall.core import digest
from modelhall.core.errors import Tampered
from modelhall.core.ports.trail import Lines, Part, Tail

LINES_A_PART = 1000


def open_trail(folder: Path) -> MemoryTrail:
    """A new, empty trail; `folder` is not touched."""
    return MemoryTrail()


@dataclass
class Memory:
    """What trails share that are one."""

    parts: dict[str, list[bytes]] = field(default_factory=dict)
    owed: list[bytes] = field(default_factory=list)


class MemoryTrail:
    """The trail port over lists. It never waits."""

    def __init__(self, memory: Memory | None = None, *, lines_a_part: int = LINES_A_PART) -> None:
        self._memory = memory if memory is not None else Memory()
        self._lines_a_part = lines_a_part
        self._read_to: tuple[str, int] | None = None

    def append(self, make: Callable[[Tail], Sequence[bytes]]) -> None:
        parts = self._memory.parts
        newest = max(parts, default=None)
        begins = newest is None or len(parts[newest]) >= self._lines_a_part
        lines = make(Tail(unread=self._unread(), begins=begins, owed=tuple(self._memory.owed)))
        if lines and begins:
            newest = f"{len(parts) + 1:08d}"
            parts[newest] = []
        if newest is not None:
            parts[newest].extend(lines)
            self._read_to = (newest, len(parts[newest]))
        if lines:
            self._memory.owed.clear()

    def owe(self, lines: Sequence[bytes]) -> None:
        self._memory.owed.extend(lines)

    def parts(self) -> list[Part]:
        return [Part(name, digest.of_bytes(b"\n".join(self._memory.parts[name]))) for name in self._names()]

    def read(self, part: str) -> Lines:
        if part not in self._memory.parts:
            raise Tampered(f"part {part} of the trail is not there any more")
        return Lines(tuple(self._memory.parts[part]))

    def _unread(self) -> tuple[bytes, ...]:
        names = self._names()
        if self._read_to is None:
            return self.read(names[-1]).whole if names else ()
        name, count = self._read_to
        if len(self.read(name).whole) < count:
            raise Tampered(f"part {name} of the trail had {count} lines, and has fewer now")
        later = [line for other in names if other > name for line in self._memory.parts[other]]
        return (*self._memory.parts[name][count:], *later)

    def _names(self) -> list[str]:
        return sorted(self._memory.parts)
