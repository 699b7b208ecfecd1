"""Blobs in a folder of this machine: `folder:///var/hall/blobs/vision`.

Where each content lies is left to `_contents.py`. A stored folder is one more content, the JSON list of its files.
What was found damaged lies in `quarantine`, for people to look at. A hall that did not seal yet kept the blobs of
all projects together, one folder further up: what is found there can still be read, and is put there no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from modelhall.adapters.blobs._contents import CHUNK_BYTES, KEY, READ_ONLY, SEALED, Contents, make
from modelhall.core import digest as digests
from modelhall.core import files
from modelhall.core.errors import Broken, NotFound, Rejected
from modelhall.core.ports.blobs import Blob, Kept
from modelhall.core.sealing import KeySet

QUARANTINE = "quarantine"


def open_blobs(url: str, keys: KeySet | None) -> FolderBlobs:
    """The blobs at `url`; the folder is made when the first blob comes."""
    root = Path(url.removeprefix("folder://"))
    if not root.is_absolute():
        raise Rejected(f"{url!r} is not folder:///ABSOLUTE/PATH", field="blobs")
    return FolderBlobs(root, keys)


class FolderBlobs:
    """Implements core/ports/blobs.py. Any number of processes may use one folder at once."""

    def __init__(self, root: Path, keys: KeySet | None = None) -> None:
        self._root = root
        self._own = Contents(root, keys)
        self._older = Contents(root.parent, None)
        self._seals = keys is not None and keys.newest is not None

    def put_folder(self, folder: Path) -> str:
        """Store every file under `folder`; return the folder's digest."""
        listed = []
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Broken(f"{path} is no plain file: only those can be stored")
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                listed.append({"path": name, "digest": self._put(path), "size_bytes": path.stat().st_size})
        content = json.dumps({"files": listed}, sort_keys=True, ensure_ascii=False).encode()
        digest = digests.of_bytes(content)
        self.put(digest, [content])
        return digest

    def put(self, digest: str, content: Iterable[bytes]) -> None:
        """Store one content unless it is here."""
        if not self._is_stored(digest):
            with files.room(f"blobs in {self._root}"):
                self._own.write(digest, content)

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` of the folder's files; every content is checked while it is written."""
        listed = self._list(digest)
        into.parent.mkdir(parents=True, exist_ok=True)
        into.mkdir()
        try:
            with files.room(f"an artifact in {into}"):
                for file in listed:
                    target = into / file["path"]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._copy_out(file["digest"], target)
        except BaseException:  # whatever ends it, half a folder is not left
            shutil.rmtree(into, ignore_errors=True)
            raise

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        return sum(file["size_bytes"] for file in self._list(digest))

    def all(self) -> Iterator[Blob]:
        """Everything that is stored here, ordered by digest."""
        for digest, paths in itertools.groupby(self._own.all(SEALED, ""), lambda path: path.name[:64]):
            sealed = {path.suffix == SEALED for path in paths}
            yield Blob(digest, sum(one.size_bytes for one in self.kept(digest)), sealed == {True})

    def read(self, digest: str) -> Iterator[bytes]:
        """One content, piece by piece, checked."""
        contents, path = self._found(digest)
        try:
            yield from contents.chunks(digest, path)
        except OSError as error:
            raise Broken(f"blob {digest} in {contents.root} cannot be read: {error.strerror}") from error
        except Broken as error:
            raise Broken(f"blob {digest} in {contents.root} is damaged: {error.message}") from None

    def files_of(self, digest: str) -> list[str]:
        """The digests of a folder's files."""
        return [file["digest"] for file in self._list(digest)]

    def verify(self, digest: str) -> None:
        """Raise unless the content under `digest` is there and has that digest."""
        for _ in self.read(digest):
            pass

    def quarantine(self, digest: str) -> None:
        """Move one content to `quarantine`, durably there before it is durably gone from its place."""
        contents, path = self._found(digest)
        aside = contents.root / QUARANTINE / path.name
        with files.room(f"blobs in {contents.root}"):
            make(aside.parent)
        os.replace(path, aside)
        files.sync_folder(aside.parent)
        files.sync_folder(path.parent)

    def delete(self, digest: str) -> int:
        """Remove one content; the key goes first, without which a sealed one tells nothing any more."""
        size_bytes = 0
        for end in (KEY, SEALED, ""):
            for place in (self._own.place(digest + end), self._root / QUARANTINE / (digest + end)):
                with contextlib.suppress(FileNotFoundError):
                    size_bytes += place.stat().st_size
                    place.unlink()
                    files.sync_folder(place.parent)
        return size_bytes

    def kept(self, digest: str) -> list[Kept]:
        """The wrapped key before what it seals."""
        found = []
        for end in (KEY, SEALED, ""):
            # A blob may be put aside while this goes on.
            with contextlib.suppress(FileNotFoundError):
                found.append(Kept(digest + end, self._own.place(digest + end).stat().st_size))
        return found

    def open_kept(self, name: str) -> BufferedReader:
        """One file as it lies there."""
        try:
            return self._own.place(name).open("rb")
        except FileNotFoundError:
            raise NotFound(f"no {name} in {self._root}") from None

    def put_kept(self, name: str, data: Iterable[bytes]) -> None:
        """Put one file there as it is."""
        with files.room(f"blobs in {self._root}"):
            self._own.put(name, data)

    def rewrap(self) -> int:
        """Have every data key be wrapped by the newest of the project's keys."""
        with files.room(f"blobs in {self._root}"):
            return self._own.rewrap()

    def _put(self, path: Path) -> str:
        """Store one file unless its content is here; return its digest."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.put(digest, _chunks(path))
        return digest

    def _is_stored(self, digest: str) -> bool:
        """Whether this content is here, as it would be stored now, whole and durably."""
        path = self._own.find(digest)
        if path is None or (self._seals and path.suffix != SEALED):
            return False
        try:
            self.verify(digest)
        except (NotFound, Broken):
            return False
        self._own.sync(digest)
        return True

    def _copy_out(self, digest: str, target: Path) -> None:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(self.read(digest))

    def _list(self, digest: str) -> list[dict[str, Any]]:
        """The checked list of a folder's files."""
        listed = _parsed_list(digest, b"".join(self.read(digest)))
        for file in listed:
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise Broken(f"blob {digest} lists {file['path']!r}, which leads out of its folder")
        return listed

    def _found(self, digest: str) -> tuple[Contents, Path]:
        """Where a content lies. What was damaged is not its reader's mistake, and may be computed again."""
        for contents in (self._own, self._older):
            if path := contents.find(digest):
                return contents, path
        for contents in (self._own, self._older):
            if any((contents.root / QUARANTINE / (digest + end)).exists() for end in (SEALED, "")):
                raise Broken(f"blob {digest} was damaged and put aside in {contents.root / QUARANTINE}")
        raise NotFound(f"no blob {digest} in {self._root}")


def _parsed_list(digest: str, content: bytes) -> list[dict[str, Any]]:
    """The list of a folder's files. A content that has its digest may still be no list."""
    try:
        return [
            {"path": str(file["path"]), "digest": str(file["digest"]), "size_bytes": int(file["size_bytes"])}
            for file in json.loads(content)["files"]
        ]
    except (ValueError, KeyError, TypeError):
        raise Broken(f"blob {digest} is no list of a folder's files") from None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
