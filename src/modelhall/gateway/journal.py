"""The usage journal: one line of JSON for each request, in files that somebody else reads and removes.

The protocol, for readers: files are called `usage-START.jsonl`; their names sort by age. A line is complete
when it ends in a newline, and lines are never changed, so a reader keeps one byte offset for each file. Only
the newest file grows. An older one may be removed when it has been read to its end; what follows its last
newline is the beginning of a line that could not be written.

Lines are handed to the operating system before `write` returns, so they survive the death of this process; they
are on the disk a second later, off the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic_core import to_json

from modelhall.core import files
from modelhall.core.ports.book import Unwritten, UsageLine
from modelhall.core.ports.clock import Clock

PATTERN = "usage-*.jsonl"
SYNC_EVERY_S = 1.0
ROTATE_BYTES = 64 * 1024 * 1024


class Journal:
    """Appends usage to the newest file in a folder; the one writer there."""

    def __init__(self, folder: Path, clock: Clock, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._folder = folder
        self._clock = clock
        self._rotate_bytes = rotate_bytes
        self._file = -1
        self._size_bytes = 0
        self._sync: asyncio.TimerHandle | None = None
        self.name = self._begin().stem
        """Of the file it began with, which no other journal ever has."""

    def write(self, lines: Sequence[UsageLine]) -> None:
        """Append these. Raises Unwritten when not all of them can be."""
        data = b"".join([to_json(line) + b"\n" for line in lines])
        try:
            written = self._append(data)
        except OSError as error:
            raise Unwritten(lines, str(error)) from error
        if written < len(data):
            self._size_bytes = self._rotate_bytes  # so that the torn line stays the last of its file
            whole = data.count(b"\n", 0, written)
            raise Unwritten(lines[whole:], f"{written} of {len(data)} bytes were written to {self._folder}")

    def close(self) -> None:
        if self._sync is not None:
            self._sync.cancel()
        os.fsync(self._file)
        os.close(self._file)

    def _append(self, data: bytes) -> int:
        """As many of these bytes as there was room for."""
        if self._size_bytes >= self._rotate_bytes:
            self._begin()
        if self._sync is None:
            loop = asyncio.get_running_loop()
            self._sync = loop.call_later(SYNC_EVERY_S, self._sync_aside)
        written = os.write(self._file, data)
        self._size_bytes += written
        return written

    def _begin(self) -> Path:
        """Start a file that sorts behind all others, whatever the clock did."""
        newest = max((_start(path) for path in self._folder.glob(PATTERN)), default=0)
        start = max(int(self._clock.now() * 1e6), newest + 1)
        path = self._folder / f"usage-{start:017d}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        files.sync_folder(self._folder)
        if self._file >= 0:
            asyncio.get_running_loop().run_in_executor(None, _sync_and_close, self._file)
        self._file = file
        self._size_bytes = 0
        return path

    def _sync_aside(self) -> None:
        self._sync = None
        # A descriptor of its own: the journal may begin another file before the thread comes to this one.
        asyncio.get_running_loop().run_in_executor(None, _sync_and_close, os.dup(self._file))


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _start(path: Path) -> int:
    digits = path.stem.removeprefix("usage-")
    return int(digits) if digits.isdecimal() else 0
