"""Blobs in a folder of this machine: `folder:///var/hall/blobs`.

A file's content lies at ab/cd/abcd…, named by its SHA-256, read-only, and written once: into `.incoming`, synced,
then renamed. A stored folder is one more file, the JSON list of its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from modelhall.core import digest, files
from modelhall.core.errors import Broken, NotFound, Rejected

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
        place = self._place(digest.of_bytes(content))
        if not place.exists():
            self._write([content])
        return place.name

    def get_folder(self, digest: str, into: Path) -> None:
        """Make `into` hold the folder's files, all at once by a rename; every content is checked each time.

        The files are hard links where the file system allows it: read-only, to be replaced but not written to.
        """
        listed = self._list(digest)
        for file in listed:
            self._verify(file["digest"])
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

    def _put(self, path: Path) -> str:
        """Store one file unless its content is here; return its digest."""
        with path.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        place = self._place(name)
        is_here = place.exists() and place.stat().st_size == path.stat().st_size
        if not is_here and self._write(_chunks(path)) != name:
            raise Broken(f"{path} changed while it was being stored")
        return name

    def _write(self, chunks: Iterable[bytes]) -> str:
        """Write content durably to its place; return its digest."""
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
        self._verify(digest)
        listed: list[dict[str, Any]] = json.loads(self._place(digest).read_bytes())["files"]
        for file in listed:
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise Broken(f"blob {digest} lists {file['path']!r}, which leads out of its folder")
        return listed

    def _verify(self, name: str) -> None:
        """Raise unless the content under `name` is there and has that digest."""
        try:
            with self._place(name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise NotFound(f"no blob {name} in {self._root}") from None
        if found != name:
            raise Broken(f"blob {name} in {self._root} is damaged: its content has the digest {found}")

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
