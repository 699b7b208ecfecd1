"""Contents as files named by their digest, written once, read-only, sealed or as they are.

    ab/cd/DIGEST             a content as it is
    ab/cd/DIGEST.sealed      a sealed one,
    ab/cd/DIGEST.key         and its data key, wrapped by the project's: all of it that changes when keys are rotated

The data key of a digest is made once and is durable before what it seals, so that whoever stores the same content at
the same time seals it with the same key, and whichever is there in the end can be read. What folders are, what is
put aside, and what is kept for whom is left to `folder.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelhall.core import file_lock, files, sealing
from modelhall.core.errors import Broken, NotFound
from modelhall.core.failpoints import reach
from modelhall.core.sealing import KeySet

SEALED, KEY, LOCK = ".sealed", ".key", ".lock"
LONGEST_WAIT_S = 30.0
"""For others who make or wrap a key; each takes as long as a small file takes to be durable."""
READ_ONLY = 0o444
CHUNK_BYTES = 1 << 20
_NAME = re.compile(rf"([0-9a-f]{{64}})({re.escape(SEALED)}|{re.escape(KEY)})?")


class Contents:
    """The contents in one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path, keys: KeySet | None) -> None:
        self.root = root
        self._keys = keys

    def find(self, digest: str) -> Path | None:
        """Where a content lies; None when it does not."""
        return next((path for end in (SEALED, "") if (path := self.place(digest + end)).exists()), None)

    def chunks(self, digest: str, path: Path) -> Iterator[bytes]:
        """The content in `path`, whose digest is checked when all of it has been read; raises Broken, OSError."""
        seen = hashlib.sha256()
        with path.open("rb") as file:
            if path.suffix == SEALED:
                parts = sealing.opened(file, self._data_key(digest), self._about(digest))
            else:
                parts = iter(lambda: file.read(CHUNK_BYTES), b"")
            for part in parts:
                seen.update(part)
                yield part
        if seen.hexdigest() != digest:
            raise Broken(f"its content has the digest {seen.hexdigest()}")

    def write(self, digest: str, content: Iterable[bytes]) -> None:
        """Store a content durably, sealed when that is asked for. Raises Broken when it has another digest."""
        seen = hashlib.sha256()

        def watched() -> Iterator[bytes]:
            for chunk in content:
                seen.update(chunk)
                yield chunk
            if seen.hexdigest() != digest:
                raise Broken(f"what was to be stored as {digest} has the digest {seen.hexdigest()}")

        if self._keys is None or self._keys.newest is None:
            self.put(digest, watched())
            return
        key = self._key_for(digest)
        reach("blobs.key-written")
        self.put(digest + SEALED, sealing.seal(watched(), key, self._about(digest)))
        # What was kept as it is, before sealing was asked for, is not needed any more.
        with contextlib.suppress(FileNotFoundError):
            self.place(digest).unlink()
            files.sync_folder(self.place(digest).parent)

    def put(self, name: str, data: Iterable[bytes]) -> None:
        """Write one file durably to its place."""
        incoming = self.root / ".incoming"
        make(incoming)
        temporary = incoming / secrets.token_hex(12)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READ_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as target:
                target.writelines(data)
                target.flush()
                os.fsync(target.fileno())
            place = self.place(name)
            make(place.parent)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
        files.sync_folder(place.parent)

    def sync(self, digest: str) -> None:
        """Make durable that a content lies there: another process may have put it there just now."""
        place = self.place(digest)
        for folder in (place.parent, place.parent.parent, self.root):
            files.sync_folder(folder)

    def rewrap(self) -> int:
        """Have every data key be wrapped by the newest key; return how many were not."""
        if self._keys is None or self._keys.newest is None:
            return 0
        count = 0
        for path in self.all(KEY):
            with contextlib.suppress(Broken), self._locked():
                about = self._about(path.stem)
                if (wrapped := sealing.rewrapped(path.read_bytes(), self._keys, about)) is not None:
                    files.write_bytes(path, wrapped, READ_ONLY)
                    count += 1
                    reach("blobs.key-rewrapped")
        return count

    def all(self, *ends: str) -> Iterator[Path]:
        """Every file whose name ends so, ordered by digest."""
        for path in sorted(self.root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*")):
            if (match := _NAME.fullmatch(path.name)) and (match[2] or "") in ends:
                yield path

    def place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound(f"{name!r} is not the digest of a blob: 64 hex digits")
        return self.root / name[:2] / name[2:4] / name

    def _key_for(self, digest: str) -> bytes:
        """The data key that seals this content; made now unless there is one that can be read."""
        assert self._keys is not None
        place = self.place(digest + KEY)
        make(place.parent)
        with self._locked():
            with contextlib.suppress(Broken):
                return self._data_key(digest)
            key = sealing.new_key()
            files.write_bytes(place, sealing.wrap(key, self._keys, self._about(digest)), READ_ONLY)
            return key

    def _data_key(self, digest: str) -> bytes:
        if self._keys is None:
            raise Broken("it is sealed, and no key of its project is there")
        try:
            wrapped = self.place(digest + KEY).read_bytes()
        except FileNotFoundError:
            raise Broken("its wrapped key is not there") from None
        return sealing.unwrap(wrapped, self._keys, self._about(digest))

    def _about(self, digest: str) -> str:
        assert self._keys is not None
        return f"blob {digest} of {self._keys.of}"

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from making or wrapping data keys here."""
        return file_lock.held(self.root / LOCK, longest_wait_s=LONGEST_WAIT_S)


def make(folder: Path) -> None:
    """Make a folder and those above it, each name durable before anything is put below it."""
    if folder.is_dir():
        return
    make(folder.parent)
    folder.mkdir(exist_ok=True)
    files.sync_folder(folder.parent)
