"""A trail in a folder of this machine: parts of JSON lines, `00000001.jsonl` and so on.

An append is one write and one fsync, under a lock that several processes share; a part that has grown to its size is
followed by another. Also there: `lock`; `owed`, room for what cannot be appended; and `torn`, while it is not written
down yet that half of a line was found at the end and cut off.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from modelhall.adapters.trail._reserve import Reserve
from modelhall.core import file_lock, files
from modelhall.core.errors import Full, NotNow, Tampered
from modelhall.core.ports.trail import Lines, Part, Tail

ROTATE_BYTES = 4 * 2**20
LONGEST_WAIT_S = 5.0
ASK_EVERY_S = 0.001
RETRY_S = 5.0
NAME = re.compile(r"[0-9]{8}\.jsonl")


def open_trail(folder: Path) -> FolderTrail:
    """The trail in `folder`, which is made when the first line comes."""
    return FolderTrail(folder)


class _Place(NamedTuple):
    part: str
    offset: int


class FolderTrail:
    """Implements core/ports/trail.py. Any number of processes may append to one folder."""

    def __init__(
        self, folder: Path, *, rotate_bytes: int = ROTATE_BYTES, longest_wait_s: float = LONGEST_WAIT_S
    ) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._longest_wait_s = longest_wait_s
        self._reserve = Reserve(folder / "owed")
        self._torn = folder / "torn"
        self._read_to: _Place | None = None

    def append(self, make: Callable[[Tail], Sequence[bytes]]) -> None:
        with self._alone():
            unread, end = self._look()
            begins = end is None or end.offset == 0 or end.offset >= self._rotate_bytes
            torn = self._torn.read_bytes() if self._torn.exists() else b""
            lines = make(Tail(unread=unread, begins=begins, owed=self._reserve.lines(), torn=torn))
            if not lines:
                self._read_to = end
                return
            if end is None or (begins and end.offset):
                end = _Place(_name_after(end), 0)
            written = _Place(end.part, _add(self._folder / end.part, lines))
            self._reserve.clear()
            if torn:
                self._torn.unlink()
            # Last of all: had any of this failed, the lines would be there, and still be unread by whoever asked.
            self._read_to = written

    def owe(self, lines: Sequence[bytes]) -> None:
        with self._alone():
            self._reserve.put(lines)

    def parts(self) -> list[Part]:
        return [Part(name, self._stamp(name)) for name in self._names()]

    def read(self, part: str) -> Lines:
        with self._shared():
            whole, torn = _split(self._content(part, 0))
        return Lines(whole, torn)

    def _look(self) -> tuple[tuple[bytes, ...], _Place | None]:
        """The lines not seen before, and the end of the newest part; what is torn there is cut off."""
        names = self._names()
        start = self._read_to or self._first_look(names)
        if start is None:
            return (), None
        unread: list[bytes] = []
        for name in [start.part, *(name for name in names if name > start.part)]:
            offset = start.offset if name == start.part else 0
            content = self._content(name, offset)
            whole, torn = _split(content)
            unread += whole
            if torn and name == names[-1]:
                self._cut(name, offset + len(content) - len(torn), torn)
            elif torn:
                unread.append(torn)
            end = _Place(name, offset + len(content) - len(torn))
        return tuple(unread), end

    def _first_look(self, names: Sequence[str]) -> _Place | None:
        """The beginning of the newest part that has a line; a crash may have left one without."""
        for name in reversed(names):
            if b"\n" in self._content(name, 0):
                return _Place(name, 0)
        return _Place(names[0], 0) if names else None

    def _content(self, name: str, offset: int) -> bytes:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                file.seek(offset)
                size_bytes = os.fstat(file.fileno()).st_size
                if size_bytes < offset:
                    raise Tampered(f"{path} was cut: it had {offset} bytes, and has {size_bytes} now")
                return file.read()
        except FileNotFoundError:
            raise Tampered(f"{path} is not there any more") from None

    def _cut(self, name: str, size_bytes: int, torn: bytes) -> None:
        """Cut the beginning of a line off, durably, and keep it until that is written down."""
        earlier = self._torn.read_bytes() if self._torn.exists() else b""
        files.write_bytes(self._torn, earlier + torn, mode=0o600)
        with (self._folder / name).open("r+b") as file:
            file.truncate(size_bytes)
            os.fsync(file.fileno())

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(name for name in os.listdir(self._folder) if NAME.fullmatch(name))

    def _stamp(self, name: str) -> str:
        # The time of its last change cannot be set back, except by who sets the machine's clock.
        about = (self._folder / name).stat()
        return f"{about.st_ino}-{about.st_size}-{about.st_ctime_ns}"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all others away, in a folder that has what it needs."""
        with self._in_words():
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.sync_folder(self._folder.parent)
            with file_lock.held(
                self._folder / "lock", longest_wait_s=self._longest_wait_s, ask_every_s=ASK_EVERY_S
            ):
                self._reserve.set_aside()
                yield

    @contextlib.contextmanager
    def _shared(self) -> Iterator[None]:
        """Keep away who appends; a folder that was copied from elsewhere has no lock, and needs none."""
        lock = self._folder / "lock"
        with self._in_words():
            if not lock.exists():
                yield
                return
            with file_lock.held(
                lock, longest_wait_s=self._longest_wait_s, ask_every_s=ASK_EVERY_S, shared=True
            ):
                yield

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Full(f"the disk of {self._folder} is full; free some room", delay_s=RETRY_S) from error
            raise NotNow(
                f"{self._folder} cannot be used: {error.strerror or error}", delay_s=RETRY_S
            ) from error


def _add(path: Path, lines: Sequence[bytes]) -> int:
    """Add lines durably, all or none; return the size of the file."""
    content = b"".join(line + b"\n" for line in lines)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        before = os.fstat(descriptor).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
            if before == 0:
                files.sync_folder(path.parent)
        except OSError:
            # What could not be made durable must not be found either. If this fails, too, it is found, and unread.
            with contextlib.suppress(OSError):
                file.truncate(before)
                os.fsync(descriptor)
            raise
    return before + len(content)


def _split(content: bytes) -> tuple[tuple[bytes, ...], bytes]:
    *whole, torn = content.split(b"\n")
    return tuple(whole), torn


def _name_after(end: _Place | None) -> str:
    return f"{int(end.part.removesuffix('.jsonl')) + 1 if end else 1:08d}.jsonl"
