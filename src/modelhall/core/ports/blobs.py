"""Where artifacts live: bytes under their own digest, and folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class Blob(NamedTuple):
    """One content as it lies there; whether it has its digest still is what `verify` finds out."""

    digest: str
    size_bytes: int


class Blobs(Protocol):
    """Content-addressed storage. A digest is the SHA-256 of the content, in hex.

    A folder is stored as its files and a list of them; the list's digest is the folder's.
    Synchronous: stages and replicas use it, never the loop. What writes raises Full when there is no room.
    """

    def put_folder(self, folder: Path) -> str:
        """Store every file under `folder`, durably; return the folder's digest."""
        ...

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` hold the folder's files, read-only. Raises Broken when a file's content does not match
        its digest or was put aside for that, NotFound when it is not there."""
        ...

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        ...

    # For those who keep the whole of it: backup, restore, verify.

    def all(self) -> Iterator[Blob]:
        """Everything that is stored, in no order that means anything; what comes meanwhile may be left out."""
        ...

    def put(self, content: Iterable[bytes]) -> str:
        """Store one content, durably; return its digest."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """One content as it lies there, unchecked. Raises NotFound."""
        ...

    def files_of(self, digest: str) -> list[str]:
        """The digests of a folder's files. Raises NotFound, and Broken when it is no list of a folder's files."""
        ...

    def verify(self, digest: str) -> None:
        """Read one content. Raises Broken when it cannot be read or does not match its digest, NotFound."""
        ...

    def quarantine(self, digest: str) -> None:
        """Put one content aside, durably: it is not there any more, and may be put again. Raises NotFound."""
        ...
