"""An attempt's output: appended by its supervisor, read by the hall, bounded on the disk.

    log/00000000000000000000    a segment, named after the offset of its first byte in the whole output
    log/00000000000033554432

Offsets are those of the whole output for ever, so a reader that has fallen behind learns where it goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FOLDER = "log"
SEGMENT_BYTES = 32 * 2**20
KEPT_SEGMENTS = 4


class LogWriter:
    """Appends to the newest segment and drops the oldest.

    Never raises for a disk that takes nothing: output is dropped then, and the log says so where it is missing.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._start = 0
        self._size = 0
        self._dropped = 0
        self._why = ""

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            self._say_what_is_missing()
            while left:
                left = left[self._append(left) :]
        except OSError as error:
            self._dropped += len(left)
            self._why = error.strerror or str(error)

    def say(self, message: str) -> None:
        """Write a line of the supervisor's own."""
        self.write(f"hall: {message}\n".encode(errors="replace"))

    def close(self) -> None:
        self.write(b"")
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _say_what_is_missing(self) -> None:
        if not self._dropped:
            return
        notice = memoryview(
            f"\nhall: {self._dropped} bytes of output are missing here: {self._why}\n".encode()
        )
        while notice:
            notice = notice[self._append(notice) :]
        self._dropped = 0

    def _append(self, data: memoryview) -> int:
        """Write as much as the segment takes; how much that was."""
        if self._file is None:
            self._open(*(segments(self._folder) or [(0, first(self._folder))])[-1])
        if self._size >= self._segment_bytes:
            self._rotate()
        assert self._file is not None
        written = os.write(self._file, data[: self._segment_bytes - self._size])
        self._size += written
        return written

    def _rotate(self) -> None:
        assert self._file is not None
        full, start = self._file, self._start + self._size
        self._open(start, segment(self._folder, start))
        os.close(full)
        for _, path in segments(self._folder)[:-KEPT_SEGMENTS]:
            path.unlink()

    def _open(self, start: int, path: Path) -> None:
        self._folder.mkdir(exist_ok=True)
        # Appending, since a supervisor's own last words may go to the first segment by another way.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._start, self._size = start, os.fstat(self._file).st_size


def read(folder: Path, offset: int, limit: int) -> tuple[int, bytes]:
    """Output from `offset` on, at most `limit` bytes, and the offset it really starts from."""
    while found := segments(folder):
        offset = max(offset, found[0][0])
        try:
            return offset, b"".join(_pieces(found, offset, limit))
        except FileNotFoundError:
            continue  # dropped between the two looks
    return offset, b""


def first(folder: Path) -> Path:
    """The segment an attempt's output starts with."""
    return segment(folder, 0)


def segment(folder: Path, start: int) -> Path:
    return folder / f"{start:020}"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments there are, oldest first, each with the offset it starts at."""
    try:
        names = [name for name in os.listdir(folder) if name.isdecimal() and len(name) == 20]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [(int(name), folder / name) for name in sorted(names)]


def _pieces(found: list[tuple[int, Path]], offset: int, limit: int) -> Iterator[bytes]:
    ends = [start for start, _ in found[1:]] + [None]
    for (start, path), end in zip(found, ends, strict=True):
        if limit <= 0 or (end is not None and end <= offset):
            continue
        with path.open("rb") as file:
            file.seek(offset - start)
            piece = file.read(limit if end is None else min(limit, end - offset))
        yield piece
        offset, limit = offset + len(piece), limit - len(piece)
