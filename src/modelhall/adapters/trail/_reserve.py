"""Room set aside on the disk, for the little that has to be written when there is no other room.

The file has its full size from the beginning, and is written over in place: that takes no new room on the file
systems that halls live on (ext4, XFS, tmpfs). Lines stand at its beginning; zeros follow.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from modelhall.core import files
from modelhall.core.errors import Full

SIZE_BYTES = 64 * 1024


class Reserve:
    """The file at `path`. Whoever uses it keeps others away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set_aside(self) -> None:
        """Make the file, unless it is there."""
        if not self._path.exists():
            files.write_bytes(self._path, b"\0" * SIZE_BYTES, mode=0o600)

    def lines(self) -> tuple[bytes, ...]:
        """What was put there and is whole."""
        return tuple(self._content().split(b"\n")[:-1])

    def put(self, lines: Sequence[bytes]) -> None:
        """Add lines, durably. Raises Full when they do not fit."""
        before, added = self._content(), b"".join(line + b"\n" for line in lines)
        if len(before) + len(added) > SIZE_BYTES:
            raise Full(f"the {SIZE_BYTES} bytes set aside in {self._path} are used up", delay_s=5)
        self._write_over(len(before), added)

    def clear(self) -> None:
        """Forget what was put there."""
        if content := self._content():
            self._write_over(0, b"\0" * len(content))

    def _content(self) -> bytes:
        return self._path.read_bytes().partition(b"\0")[0]

    def _write_over(self, offset: int, content: bytes) -> None:
        with self._path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), content, offset)
            os.fsync(file.fileno())
