"""Reads a backup, which may come from anywhere.

Nothing but plain files with the names of a backup's members is taken from it, never more than its size and the disk
can answer for, and all of it only when its list says the same.
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from modelhall.app.keep.archive import CHUNK_BYTES, FIRST, FORMAT, LAST, Exactly, Manifest, Member, is_name
from modelhall.core.errors import Rejected
from modelhall.core.kinds.base import Frozen

BLOCK_BYTES = 1 << 16
MOST_HEADER_BYTES = 1 << 20
"""No header of one member is longer."""
MOST_FACTS_BYTES = 1 << 30
"""No manifest is longer."""
MOST_TIMES = 200
"""No backup unpacks to so many times its size…"""
UNSUSPECTED_BYTES = 256 << 20
"""…once it has unpacked to more than this."""
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Content:
    """One member of a backup that is being read."""

    def __init__(self, name: str, size_bytes: int, file: IO[bytes], archive: Path) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._archive = archive
        self._file = Exactly(file, size_bytes)

    def chunks(self) -> Iterator[bytes]:
        """The content, once."""
        while chunk := self._read():
            yield chunk

    def _read(self) -> bytes:
        # Whoever reads may do so outside of the reader, which could not tell him.
        with _refusing(self._archive):
            chunk = self._file.read(CHUNK_BYTES)
            if self._file.was_short:
                raise _torn()
            return chunk

    def facts(self) -> Member:
        """What the manifest must say of it; what has not been read is, for that."""
        for _ in self.chunks():
            pass
        return Member(size_bytes=self.size_bytes, sha256=self._file.digest)


class Reader:
    """Reads a backup from its first member to its last. `manifest` is known when `members` has come to its end,
    and all of it has been checked then."""

    def __init__(self, path: Path) -> None:
        self.manifest: Manifest | None = None
        self._path = path
        try:
            self.size_bytes = path.stat().st_size
            with path.open("rb") as file:
                self._magic = file.read(4)
        except OSError as error:
            raise Rejected(f"{path} cannot be read: {error.strerror}") from None
        if self._magic == ZSTD:
            raise Rejected(f"{path} is compressed with zstd; unpack it with `zstd -d` first")

    def members(self, into: Path) -> Iterator[Content]:
        """Each member that is to be put below `into`. Raises Rejected for a file that is torn, changed, of a newer
        hall, or no backup at all."""
        seen: dict[str, Member] = {}
        with _refusing(self._path), self._path.open("rb") as raw:
            unpacked = gzip.GzipFile(fileobj=raw) if self._magic[:2] == GZIP else raw
            yield from self._members(_Metered(unpacked, self.size_bytes), into, seen)

    def _members(self, unpacked: _Metered, into: Path, seen: dict[str, Member]) -> Iterator[Content]:
        unpacked.allow(MOST_HEADER_BYTES)
        with tarfile.open(fileobj=unpacked, mode="r|", bufsize=BLOCK_BYTES) as tar:  # type: ignore[call-overload]
            while True:
                unpacked.allow(MOST_HEADER_BYTES)
                header = tar.next()
                if header is None:
                    break
                if self.manifest is not None:
                    raise Rejected("something follows the end of the backup")
                # The list of what is read is kept by the tar itself; it is of no use here.
                tar.members = []
                content = self._content(tar, header, unpacked)
                self._check(header, into, seen)
                if content.name == LAST:
                    self.manifest = _parsed_manifest(content)
                    _compare(self.manifest, seen)
                    continue
                if content.name == FIRST:
                    _check_format(content)
                else:
                    yield content
                seen[content.name] = content.facts()
        if self.manifest is None:
            raise _torn()

    def _content(self, tar: tarfile.TarFile, header: tarfile.TarInfo, unpacked: _Metered) -> Content:
        if (
            header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE)
            or header.sparse is not None
            or header.size < 0
        ):
            raise Rejected(f"it has {header.name!r}, which is no plain file")
        unpacked.allow(header.size + MOST_HEADER_BYTES)
        file = tar.extractfile(header)
        assert file is not None
        return Content(header.name, header.size, file, self._path)

    def _check(self, header: tarfile.TarInfo, into: Path, seen: dict[str, Member]) -> None:
        """Refuse what no backup has: the list of names first, and what Python's own filter refuses as well."""
        name = header.name
        if (name == FIRST) == bool(seen):
            raise Rejected(
                f"it begins with {name!r} and is no backup of a hall" if not seen else f"{name!r} is twice"
            )
        if name in seen:
            raise Rejected(f"{name!r} is in it twice")
        if name not in (FIRST, LAST) and not is_name(name):
            raise Rejected(f"it has {name!r}, which no backup has")
        if hasattr(
            tarfile, "data_filter"
        ):  # before Python 3.11.4 there is none, and the list of names has to do
            tarfile.data_filter(header, str(into))


class _Format(Frozen, extra="ignore"):
    format: int


class _Metered:
    """What is unpacked, as long as it stays in proportion."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, packed_bytes: int) -> None:
        self._file = file
        self._left = 0
        self._total = max(UNSUSPECTED_BYTES, packed_bytes * MOST_TIMES)

    def allow(self, size_bytes: int) -> None:
        self._left = size_bytes

    def read(self, size_bytes: int) -> bytes:
        data = self._file.read(size_bytes)
        self._left -= len(data)
        self._total -= len(data)
        if self._left < 0:
            raise Rejected(f"it has a header of more than {MOST_HEADER_BYTES} bytes, as no backup has")
        if self._total < 0:
            raise Rejected(f"it unpacks to more than {MOST_TIMES} times its size, as no backup does")
        return data


def _check_format(content: Content) -> None:
    try:
        found = _Format.model_validate_json(_all_of(content)).format
    except ValidationError:
        raise Rejected(f"{FIRST} makes no sense: this is no backup of a hall") from None
    if found > FORMAT:
        raise Rejected(f"it has format {found}, and this hall knows up to {FORMAT}; use the newer hall")


def _parsed_manifest(content: Content) -> Manifest:
    try:
        return Manifest.model_validate_json(_all_of(content))
    except ValidationError as error:
        raise Rejected(f"{LAST} makes no sense: {error.errors()[0]['msg']}") from None


def _all_of(content: Content) -> bytes:
    if content.size_bytes > MOST_FACTS_BYTES:
        raise Rejected(f"{content.name} has {content.size_bytes} bytes, which is too much to be true")
    return b"".join(content.chunks())


def _compare(manifest: Manifest, seen: dict[str, Member]) -> None:
    """Refuse a file that is not what was written."""
    for name in sorted(manifest.members.keys() | seen.keys()):
        if manifest.members.get(name) != seen.get(name):
            what = (
                "is missing"
                if name not in seen
                else "is not in its list"
                if name not in manifest.members
                else ""
            )
            raise Rejected(f"it was changed: {name} {what or 'does not have the digest it was written with'}")


def _torn() -> Rejected:
    return Rejected("it ends too early: it was not written or copied to its end; make or fetch it again")


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say of which file it is that it is no backup, in our words."""
    try:
        yield
    except (tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, UnicodeError) as error:
        raise Rejected(f"{path} is no whole backup: {error}") from None
    except Rejected as error:
        raise error if str(path) in error.message else Rejected(f"{path}: {error.message}") from None
