"""Writes a backup: beside the file it is to be, and in its place when it is whole."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from modelhall.app.keep.archive import CHUNK_BYTES, FIRST, FORMAT, LAST, Exactly, Manifest, Member
from modelhall.core import files
from modelhall.core.errors import Full, Rejected
from modelhall.version import __version__

SUFFIXES = (".tar", ".tar.gz", ".tgz")
RETRY_S = 60.0


class Writer:
    """Writes a backup beside `path`, and puts it there when it is whole; leave it by `with`."""

    def __init__(self, path: Path, *, force: bool) -> None:
        """Raises Rejected when there is a file already, unless it is to be replaced by `force`."""
        if not path.name.endswith(SUFFIXES):
            raise Rejected(
                f"a backup is called {' or '.join('NAME' + end for end in SUFFIXES)}, not {path.name!r}"
            )
        if not path.parent.is_dir():
            raise Rejected(f"there is no folder {path.parent}")
        self._path = path
        self._force = force
        self._check_free()
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        self._members: dict[str, Member] = {}
        self._damaged: list[str] = []
        self._left_out: list[str] = []
        self.size_bytes = 0
        """Of the whole file, once it is finished."""
        self._open = contextlib.ExitStack()
        with room(path):
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._raw = self._open.enter_context(os.fdopen(descriptor, "wb"))
            packed: IO[bytes] | gzip.GzipFile = self._raw
            if not path.name.endswith(".tar"):
                packed = gzip.GzipFile("", "wb", compresslevel=1, fileobj=self._raw, mtime=0)
                self._open.enter_context(packed)
            self._tar = self._open.enter_context(tarfile.open(None, "w|", packed, CHUNK_BYTES))  # noqa: SIM115 - it is

    def __enter__(self) -> Writer:
        self.add_bytes(FIRST, json.dumps({"format": FORMAT, "made_by": __version__}).encode())
        return self

    def __exit__(self, *_: object) -> None:
        # What is left open here belongs to a file that is thrown away.
        with contextlib.suppress(OSError, ValueError, tarfile.TarError):
            self._open.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, name: str, file: IO[bytes], size_bytes: int) -> str:
        """Add one member of this size; return its digest."""
        exactly = Exactly(file, size_bytes)
        header = tarfile.TarInfo(name)
        header.size = size_bytes
        with room(self._path):
            self._tar.addfile(header, exactly)
        self._members[name] = Member(size_bytes=size_bytes, sha256=exactly.digest)
        if exactly.was_short:
            self._left_out.append(f"{name} (it could not be read to its end)")
        return exactly.digest

    def add_bytes(self, name: str, data: bytes) -> None:
        self.add(name, io.BytesIO(data), len(data))

    def tell_damaged(self, blob: str) -> None:
        """Have the manifest say that a blob was damaged already."""
        self._damaged.append(blob)

    def leave_out(self, name: str, reason: str) -> None:
        self._left_out.append(f"{name!r} ({reason})")

    def finish(self, *, made_at: float, revision: int) -> Manifest:
        """Write the manifest, and put the file in its place, durably."""
        manifest = Manifest(
            format=FORMAT,
            made_by=__version__,
            made_at=made_at,
            revision=revision,
            members=dict(self._members),
            damaged=tuple(self._damaged),
            left_out=tuple(self._left_out),
        )
        self.add_bytes(LAST, manifest.model_dump_json().encode())
        with room(self._path):
            self._tar.close()
            self._raw.flush()
            copy = os.dup(self._raw.fileno())
            self._open.close()
            try:
                os.fsync(copy)
                self.size_bytes = os.fstat(copy).st_size
            finally:
                os.close(copy)
        self._check_free()
        os.replace(self._temporary, self._path)
        files.sync_folder(self._path.parent)
        return manifest

    def _check_free(self) -> None:
        if self._path.exists() and not self._force:
            raise Rejected(f"{self._path} is there already; --force replaces it")


@contextlib.contextmanager
def room(path: Path) -> Iterator[None]:
    """Say in our words that a backup cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise Rejected(f"{path} cannot be written: {error.strerror or error}") from None
        raise Full(f"there is no room for a backup in {path.parent}", delay_s=RETRY_S) from None
