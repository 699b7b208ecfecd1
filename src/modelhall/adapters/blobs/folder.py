"""Blobs in a folder of this machine: `folder:///var/hall/blobs`.

A file's content lies at ab/cd/abcd…, named by its SHA-256, read-only, and written once: into `.incoming`, synced,
then renamed. A stored folder is one more file, the JSON list of its files. What was found damaged lies in
`quarantine`, for people to look at.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from modelhall.core import digest, files
from modelhall.core.errors import Broken, Full, NotFound, Rejected
from modelhall.core.ports.blobs import Blob

QUARANTINE = "quarantine"
RETRY_S = 5.0
_CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


def open_blobs(url: str) -> FolderBlobs:
    """The blobs at `url`; the folder is made when the first blob comes."""
    root = Path(url.removeprefix("folder://"))
    if not root.is_absolute():
        raise Rejected(f"{url!r} is not folder:///ABSOLUTE/PATH", field="blobs")
    return FolderBlobs(root)


class FolderBlobs:
    """Implements core/ports/blobs.py. Any number of processes may use one folder at once."""

    def __init__(self, root: Path) -> None:
        self._root = root

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
        name = digest.of_bytes(content)
        if not self._is_stored(name):
            self._write([content])
        return name

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` hold the folder's files, all at once by a rename; every content is checked each time.

        The files are hard links where the file system allows it: read-only, to be replaced but not written to.
        """
        listed = self._list(digest)
        for file in listed:
            self.verify(file["digest"])
        if _holds(into, listed, self._place):
            return
        into.parent.mkdir(parents=True, exist_ok=True)
        unpacked = into.with_name(f".{into.name}.{secrets.token_hex(6)}")
        try:
            for file in listed:
                target = unpacked / file["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(self._place(file["digest"]), target)
            unpacked.mkdir(exist_ok=True)
            self._take_the_place(unpacked, into, listed)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)

    def size_bytes(self, digest: str) -> int:
        """The size of all files of a folder."""
        return sum(file["size_bytes"] for file in self._list(digest))

    def all(self) -> Iterator[Blob]:
        """Everything that is stored, ordered by digest."""
        for path in sorted(self._root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*")):
            # A blob may be put aside while this goes on.
            with contextlib.suppress(FileNotFoundError):
                if _DIGEST.fullmatch(path.name):
                    yield Blob(path.name, path.stat().st_size)

    def put(self, content: Iterable[bytes]) -> str:
        """Store one content; return its digest."""
        return self._write(content)

    def open(self, digest: str) -> BufferedReader:
        """One content as it lies there."""
        try:
            return self._place(digest).open("rb")
        except FileNotFoundError:
            raise self._missing(digest) from None

    def files_of(self, digest: str) -> list[str]:
        """The digests of a folder's files."""
        return [file["digest"] for file in self._list(digest)]

    def verify(self, digest: str) -> None:
        """Raise unless the content under `digest` is there and has that digest."""
        try:
            with self.open(digest) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Broken(f"blob {digest} in {self._root} cannot be read: {error.strerror}") from error
        if found != digest:
            raise Broken(f"blob {digest} in {self._root} is damaged: its content has the digest {found}")

    def quarantine(self, digest: str) -> None:
        """Move one content to `quarantine`, durably there before it is durably gone from its place."""
        place, aside = self._place(digest), self._root / QUARANTINE / digest
        with _room(self._root):
            self._make(aside.parent)
        try:
            os.replace(place, aside)
        except FileNotFoundError:
            raise self._missing(digest) from None
        files.sync_folder(aside.parent)
        files.sync_folder(place.parent)

    def _put(self, path: Path) -> str:
        """Store one file unless its content is here; return its digest."""
        with path.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        if not self._is_stored(name) and self._write(_chunks(path)) != name:
            raise Broken(f"{path} changed while it was being stored")
        return name

    def _is_stored(self, name: str) -> bool:
        """Whether this content is here, whole and durably: another process may have put it here just now."""
        place = self._place(name)
        try:
            self.verify(name)
        except (NotFound, Broken):
            return False
        for folder in (place.parent, place.parent.parent, self._root):
            files.sync_folder(folder)
        return True

    def _write(self, chunks: Iterable[bytes]) -> str:
        """Write content durably to its place; return its digest."""
        with _room(self._root):
            return self._write_down(chunks)

    def _write_down(self, chunks: Iterable[bytes]) -> str:
        self._make(self._root / ".incoming")
        temporary = self._root / ".incoming" / secrets.token_hex(12)
        seen = hashlib.sha256()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:
            with os.fdopen(descriptor, "wb") as target:
                for chunk in chunks:
                    seen.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            place = self._place(seen.hexdigest())
            self._make(place.parent)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
        files.sync_folder(place.parent)
        return place.name

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each name durable before anything is put below it."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        files.sync_folder(folder.parent)

    def _list(self, digest: str) -> list[dict[str, Any]]:
        """The checked list of a folder's files."""
        self.verify(digest)
        listed = _read_list(self._place(digest))
        for file in listed:
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise Broken(f"blob {digest} lists {file['path']!r}, which leads out of its folder")
        return listed

    def _missing(self, name: str) -> NotFound | Broken:
        """Why a content is not there. What was damaged is not its reader's mistake, and may be computed again."""
        if (self._root / QUARANTINE / name).exists():
            return Broken(f"blob {name} was damaged and put aside in {self._root / QUARANTINE}")
        return NotFound(f"no blob {name} in {self._root}")

    def _place(self, name: str) -> Path:
        if not _DIGEST.fullmatch(name):
            raise NotFound(f"{name!r} is not the digest of a blob: 64 hex digits")
        return self._root / name[:2] / name[2:4] / name

    def _take_the_place(self, unpacked: Path, into: Path, listed: list[dict[str, Any]]) -> None:
        """Rename `unpacked` to `into`, replacing what is damaged there; another process may do the same."""
        while True:
            try:
                os.rename(unpacked, into)
                return
            except OSError:
                if _holds(into, listed, self._place):
                    return
                if not into.is_dir():
                    raise
            aside = into.with_name(f".{into.name}.{secrets.token_hex(6)}")
            with contextlib.suppress(FileNotFoundError):
                os.rename(into, aside)
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _room(root: Path) -> Iterator[None]:
    """Say in our words that a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Full(f"the disk of the blobs in {root} is full; free some room", delay_s=RETRY_S) from error


def _read_list(path: Path) -> list[dict[str, Any]]:
    """The list of a folder's files. A content that has its digest may still be no list."""
    try:
        listed = [
            {"path": str(file["path"]), "digest": str(file["digest"]), "size_bytes": int(file["size_bytes"])}
            for file in json.loads(path.read_bytes())["files"]
        ]
    except (ValueError, KeyError, TypeError):
        raise Broken(f"blob {path.name} is no list of a folder's files") from None
    return listed


def _holds(folder: Path, listed: list[dict[str, Any]], place: Callable[[str], Path]) -> bool:
    """Whether every listed file in `folder` is the stored one, or has its content."""
    return folder.is_dir() and all(_is(folder / file["path"], place(file["digest"])) for file in listed)


def _is(path: Path, blob: Path) -> bool:
    if not path.is_file():
        return False
    if path.samefile(blob):
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == blob.name


def _link(blob: Path, target: Path) -> None:
    """Make `target` the same file as `blob`, or a read-only copy on another file system."""
    try:
        os.link(blob, target)
    except OSError:
        shutil.copyfile(blob, target)
        target.chmod(0o444)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
