"""Where artifacts live: bytes under their own digest, and folders of them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Blobs(Protocol):
    """Content-addressed storage. A digest is the SHA-256 of the content, in hex.

    A folder is stored as its files and a list of them; the list's digest is the folder's.
    Synchronous: stages and replicas use it, never the loop.
    """

    def put_folder(self, folder: Path) -> str:
        """Store every file under `folder`, durably; return the folder's digest."""
        ...

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` hold the folder's files, read-only. Raises Broken when a file's content does not match
        its digest, NotFound when it is not there."""
        ...

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        ...
