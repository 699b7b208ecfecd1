"""Blobs on a node that is not the hall's own: `node:///var/agent/blobs/vision`, a folder that its agent keeps filled.

What programs ask for and is not in the folder, the agent fetches from the hall, and what they have made it brings
there before it says that they are done. The two of them talk by marks in the folder, so that programs reach neither
the network nor anything that opens the hall. Contents travel as they lie there: sealed, where the hall seals.

    .wanted/DIGEST           to be fetched; .wanted/DIGEST.problem says why it cannot be
    .made/DIGEST             to be brought to the hall
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from modelhall.adapters.blobs._contents import KEY
from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.core import files
from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.ports.blobs import Blobs
from modelhall.core.sealing import KeySet

WANTED, MADE, PROBLEM = ".wanted", ".made", ".problem"
LOOK_S = 0.05
PATIENCE_S = 600.0
"""An agent that brings nothing for so long is not there."""


def open_blobs(url: str, keys: KeySet | None) -> NodeBlobs:
    """The blobs at `url`; the folder is made when the first blob comes."""
    root = Path(url.removeprefix("node://"))
    if not root.is_absolute():
        raise Rejected(f"{url!r} is not node:///ABSOLUTE/PATH", field="blobs")
    return NodeBlobs(root, keys)


class NodeBlobs(FolderBlobs):
    """A folder of blobs, as a program on a node sees it: what is not there comes when it is asked for."""

    def __init__(self, root: Path, keys: KeySet | None, *, patience_s: float = PATIENCE_S) -> None:
        super().__init__(root, keys)
        self._marks = root
        self._patience_s = patience_s

    def put_folder(self, folder: Path) -> str:
        """Store every file under `folder`, and have the agent bring all of it to the hall."""
        digest = super().put_folder(folder)
        for one in {digest, *self.files_of(digest)}:
            _mark(self._marks / MADE / one)
        return digest

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` of the folder's files, once all of them are here. Raises NotNow when nobody brings them."""
        self._bring([digest])
        self._bring(self.files_of(digest))
        super().get_folder(digest, into)

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        self._bring([digest])
        return super().size_bytes(digest)

    def delete(self, digest: str) -> int:
        """Remove one content, which is not to be brought anywhere any more."""
        (self._marks / MADE / digest).unlink(missing_ok=True)
        return super().delete(digest)

    def _bring(self, digests: Iterable[str]) -> None:
        missing = {digest for digest in digests if not is_here(self, digest)}
        for digest in missing:
            (self._marks / WANTED / (digest + PROBLEM)).unlink(missing_ok=True)
            _mark(self._marks / WANTED / digest)
        deadline = time.monotonic() + self._patience_s
        while missing := {digest for digest in missing if not is_here(self, digest)}:
            for digest in missing:
                if (problem := self._marks / WANTED / (digest + PROBLEM)).exists():
                    with contextlib.suppress(NotFound):
                        self._found(digest)  # which says so when it was put aside
                    raise NotFound(problem.read_text())
            if time.monotonic() > deadline:
                raise NotNow(
                    f"no agent brings blob {min(missing)}; look whether it is at work on this node",
                    delay_s=LOOK_S,
                )
            time.sleep(LOOK_S)


def is_here(blobs: Blobs, digest: str) -> bool:
    """Whether all objects of a content are in the folder: the key is put before what it seals."""
    return any(not one.name.endswith(KEY) for one in blobs.kept(digest))


class Marks:
    """The same marks, as an agent sees them, of one project."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def wanted(self) -> list[str]:
        """The digests that programs wait for."""
        return [name for name in _names(self._root / WANTED) if not name.endswith(PROBLEM)]

    def made(self) -> list[str]:
        """The digests that the hall may not have yet."""
        return _names(self._root / MADE)

    def came(self, digest: str) -> None:
        """A content is here."""
        (self._root / WANTED / digest).unlink(missing_ok=True)

    def never(self, digest: str, why: str) -> None:
        """A content cannot be had."""
        files.write_bytes(self._root / WANTED / (digest + PROBLEM), why.encode())
        self.came(digest)

    def brought(self, digest: str) -> None:
        """The hall has a content."""
        (self._root / MADE / digest).unlink(missing_ok=True)


def _mark(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
