"""Where a project's artifacts live: bytes under their own digest, and folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class Blob(NamedTuple):
    """One content as it lies there; whether it can be read and has its digest still is what `verify` finds out."""

    digest: str
    size_bytes: int
    """What it takes where it lies."""
    sealed: bool


class Kept(NamedTuple):
    """One object as it lies there: a content, sealed or not, or the wrapped key of a sealed one."""

    name: str
    size_bytes: int


class Blobs(Protocol):
    """Content-addressed storage of one project. A digest is the SHA-256 of the content, in hex.

    A folder is stored as its files and a list of them; the list's digest is the folder's. What is stored is sealed
    when the project's keys say so; that makes no difference to its digest.
    Synchronous: stages and replicas use it, never the loop. What writes raises Full when there is no room.
    """

    def put_folder(self, folder: Path) -> str:
        """Store every file under `folder`, durably; return the folder's digest."""
        ...

    def put(self, digest: str, content: Iterable[bytes]) -> None:
        """Store one content, durably, unless it is there. Raises Broken when it has another digest."""
        ...

    def get_folder(self, digest: str, into: Path) -> None:
        """Make the folder `into`, which is not there yet, of the folder's files, read-only. Raises Broken when one
        cannot be read as it was stored, or was put aside for that, and NotFound when it is not there; then there is
        no `into`."""
        ...

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        ...

    # For those who keep the whole of it: backup, restore, verify, rotation of keys.

    def all(self) -> Iterator[Blob]:
        """Everything that is stored, in no order that means anything; what comes meanwhile may be left out."""
        ...

    def read(self, digest: str) -> Iterator[bytes]:
        """One content, piece by piece. Raises NotFound, and at the latest at its end Broken when it cannot be read or
        does not have its digest."""
        ...

    def files_of(self, digest: str) -> list[str]:
        """The digests of a folder's files. Raises NotFound, and Broken when it is no list of a folder's files."""
        ...

    def verify(self, digest: str) -> None:
        """Read one content. Raises as `read` does."""
        ...

    def quarantine(self, digest: str) -> None:
        """Put one content aside, durably: it is not there any more, and may be put again. Raises NotFound."""
        ...

    def delete(self, digest: str) -> int:
        """Remove one content durably, with its wrapped key, and what was put aside of it; return how many bytes that
        were, 0 when it was not there."""
        ...

    def kept(self, digest: str) -> list[Kept]:
        """The objects that make up one content, in the order in which they are to be put elsewhere."""
        ...

    def open_kept(self, name: str) -> BinaryIO:
        """One object as it lies there. Raises NotFound."""
        ...

    def put_kept(self, name: str, data: Iterable[bytes]) -> None:
        """Put one object there as it is, durably."""
        ...

    def rewrap(self) -> int:
        """Have every wrapped key be wrapped by the newest of the project's keys, each of them durably and at once;
        return how many were not. No content is written. What is damaged stays as it is."""
        ...
