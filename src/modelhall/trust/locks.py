"""Addresses that are locked by a verdict, in a file that both doors follow: `signals/locks.json`.

What a door locks by itself, for failed attempts, it keeps to itself (`limits.py`); this is what everybody is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelhall.core import files

NAME = "locks.json"
MOST = 4_096


def lock(folder: Path, address: str, until: float, now: float) -> None:
    """Lock an address, or a network, until an instant. What is over is left out, and of too many what ends first."""
    there = {place: end for place, end in read(folder).items() if end > now}
    there[address] = max(until, there.get(address, 0.0))
    newest = sorted(there.items(), key=lambda item: item[1])[-MOST:]
    files.write_json(folder / NAME, dict(newest), mode=0o600)


def read(folder: Path) -> dict[str, float]:
    """Each locked address and until when; nothing if the file is damaged, since the doors lock by themselves too."""
    try:
        found = files.read_json(folder / NAME)
    except ValueError:
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(place): float(until) for place, until in pairs if isinstance(until, int | float)}


class Follower:
    """Notices when there are other locks than before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None

    def news(self) -> Mapping[str, float] | None:
        """The locks there are, or None when they are as they were when last asked."""
        try:
            found = (self._folder / NAME).stat()
        except FileNotFoundError:
            return None
        seen = (found.st_mtime_ns, found.st_ino)
        if seen == self._seen:
            return None
        self._seen = seen
        return read(self._folder)
