"""Source files as the formats get them: named, bounded, unpacked on the way, and watched for changes."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from modelhall.core.errors import NotNow, Rejected
from modelhall.core.file_formats import packing
from modelhall.core.kinds.dataset import SourceFile
from modelhall.core.ports.source import Limits
from modelhall.stages.prepare.formats import _packed

BLOCK = 4 * 2**20
AGAIN_S = 10.0
_YOUNG_NS = 5 * 10**9
"""A file that was changed this short before may change again without a trace in its times."""


@dataclass(frozen=True)
class Source:
    """One source file: its name in lineage, and where it lies. It may be an archive of several."""

    name: str
    path: Path
    limits: Limits = field(default_factory=Limits)
    now_ns: Callable[[], int] = time.time_ns

    @property
    def lineage(self) -> SourceFile:
        """Name, digest and size, as they are when first asked for."""
        look = self._first_look
        return SourceFile(path=self.name, digest=look.digest, size_bytes=look.size_bytes)

    def begin(self) -> Callable[[], None]:
        """Have a look at the file before it is read. What is returned raises NotNow unless it is still the same
        afterwards: rows of two states make no version."""
        first = self._first_look

        def check_unchanged() -> None:
            changed = _stat(self.path) != first.stat
            # A second change within a tick of the file system's clock shows in the content alone.
            if changed or (first.may_hide_changes and _digest(self.path)[0] != first.digest):
                raise NotNow(
                    f"{self.name} changed while it was read; it is read again once it stays as it is",
                    delay_s=AGAIN_S,
                )

        return check_unchanged

    @cached_property
    def _first_look(self) -> _Look:
        stat = _stat(self.path)
        digest, size_bytes = _digest(self.path)
        may_hide_changes = stat[-1] > self.now_ns() - _YOUNG_NS
        return _Look(stat, digest, size_bytes, may_hide_changes)


class _Look(NamedTuple):
    """What a file was when it was first looked at."""

    stat: tuple[int, ...]
    digest: str
    size_bytes: int
    may_hide_changes: bool


@dataclass(frozen=True)
class Part:
    """One file to read rows from: a source file itself, or a member of an archive."""

    name: str
    """In messages: that of the source, and inside an archive the member's after it."""
    path: Path
    limits: Limits

    @property
    def bare_name(self) -> str:
        """The file's own name, without the ending that tells how it is packed."""
        name = PurePosixPath(self.name).name
        return name.removesuffix(PurePosixPath(name).suffix) if packing(name) else name

    @property
    def folder(self) -> str:
        """The name of the folder it lies in: the label, where folders are classes."""
        return PurePosixPath(self.name).parent.name

    @property
    def path_in_folder(self) -> str:
        """Folder and file name: what people call it."""
        return f"{self.folder}/{self.bare_name}"

    def blocks(self) -> Iterator[bytes]:
        """The unpacked content in pieces; never more than the limits allow."""
        return _packed.blocks(self.path, self.name, self.limits, BLOCK)

    def content(self) -> bytes:
        """The unpacked content as a whole; raises Rejected when it is too large to be held."""
        return b"".join(self.bounded(self.blocks()))

    def bounded(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, as long as all of them together may be held. Raises Rejected."""
        size = 0
        for block in blocks:
            size += len(block)
            if size > self.limits.whole_bytes:
                raise Rejected(
                    f"{self.name} is larger than {self.limits.whole_bytes:,} bytes, the most that is read as a whole "
                    "(setting `source_whole_bytes`)",
                    field="source",
                )
            yield block

    @contextmanager
    def lying_unpacked(self) -> Iterator[Path]:
        """Where the unpacked content lies, for readers that go back and forth in a file."""
        if not packing(self.name):
            yield self.path
            return
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / "content"
            with _packed.refusing_full_disk(self.name), unpacked.open("wb") as file:
                for block in self.blocks():
                    file.write(block)
            yield unpacked


def _stat(path: Path) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 in hex and size, by reading the file through once."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
