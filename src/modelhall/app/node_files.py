"""Files on their way between the hall and its nodes: contents of blobs, sealed as they lie, and the state that runs
leave to their next attempt.

A run's state is the hall's, where any launcher finds it; a node has a copy while an attempt of the run is there.
What a node brings is kept once it has the digest it is brought under, and is sealed anew: no node lays anything in
the hall's blobs that was not read.

    HOME/incoming/NODE/PROJECT/   contents that have not come whole
    HOME/runs/UID/state/          state
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from modelhall.adapters.blobs.folder import FolderBlobs
from modelhall.core import files
from modelhall.core.errors import NotFound, Rejected
from modelhall.core.kinds.base import Frozen
from modelhall.core.ports.blobs import Blobs, Kept
from modelhall.core.sealing import KeysOf

CHUNK_BYTES = 1 << 20
DIGEST_LETTERS = 64


class StateFile(Frozen):
    """One file of a run's state."""

    path: str
    size_bytes: int


class NodeFiles:
    """What nodes fetch and bring. Whether they may is checked before."""

    def __init__(self, home: Path, blobs: Callable[[str], Blobs], keys: KeysOf) -> None:
        self._home = home
        self._blobs = blobs
        self._keys = keys

    def kept(self, project: str, digest: str) -> list[Kept]:
        """The objects of a content. Raises NotFound."""
        found = self._blobs(project).kept(digest)
        if not found:
            raise NotFound(f"no blob {digest} in project {project!r}")
        return found

    def open_kept(self, project: str, name: str) -> BinaryIO:
        """One object as it lies there. Raises NotFound."""
        return self._blobs(project).open_kept(name)

    async def take_object(self, node: str, project: str, name: str, pieces: AsyncIterable[bytes]) -> None:
        """Take in one object; the last of a content is the one that is no key. Raises Broken when what has come is
        not what it is called."""
        incoming = FolderBlobs(self._home / "incoming" / node / project, self._keys(project))
        async with _received(self._home / "incoming", pieces) as received:
            await asyncio.to_thread(incoming.put_kept, name, _chunks(received))
        if name.endswith(".key"):
            return
        digest = name[:DIGEST_LETTERS]
        try:
            # Before anything is put, so that nothing is left of what is refused.
            await asyncio.to_thread(incoming.verify, digest)
            await asyncio.to_thread(self._blobs(project).put, digest, incoming.read(digest))
        finally:
            await asyncio.to_thread(incoming.delete, digest)

    def state(self, run_uid: str) -> list[StateFile]:
        """The files that the earlier attempts of a run have left."""
        folder = self._state(run_uid)
        return [
            StateFile(path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(".")
        ]

    def open_state(self, run_uid: str, path: str) -> BinaryIO:
        """One of them. Raises NotFound."""
        try:
            return self._place(run_uid, path).open("rb")
        except FileNotFoundError:
            raise NotFound(f"no {path} in the state of run {run_uid}") from None

    async def take_state(self, run_uid: str, path: str, pieces: AsyncIterable[bytes]) -> None:
        """Have a file of the state be this, durably."""
        place = self._place(run_uid, path)
        async with _received(self._home / "incoming", pieces) as received:
            await asyncio.to_thread(_put, place, received)

    def remove_state(self, run_uid: str, path: str) -> None:
        """Have a file be no part of the state any more."""
        self._place(run_uid, path).unlink(missing_ok=True)

    def _state(self, run_uid: str) -> Path:
        return self._home / "runs" / run_uid / "state"

    def _place(self, run_uid: str, path: str) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or any(part.startswith(".") for part in parts) or "\0" in path:
            raise Rejected(f"{path[:100]!r} is no path within a run's state", field="path")
        return self._state(run_uid).joinpath(*parts)


@contextlib.asynccontextmanager
async def _received(folder: Path, pieces: AsyncIterable[bytes]) -> AsyncIterator[Path]:
    """A file with all that comes; it is gone when this is left."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f".{secrets.token_hex(12)}"
    try:
        with files.room("what a node brings"), path.open("wb") as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _put(place: Path, received: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with files.room("the state of a run"):
        files.write_pieces(place, _chunks(received))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
