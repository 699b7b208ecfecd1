"""Archives (zip, tar, and tar packed as gz, bz2, xz or zst): their members laid out in a folder, and only them.

Members are looked at twice, for their types and for their rows, so they are unpacked rather than read in passing.
What an archive could do harm with is refused: names that lead elsewhere or come twice, links, devices, encryption,
archives inside it, and more than the limits allow.
"""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from modelhall.core.errors import Rejected
from modelhall.stages.prepare.formats import _packed
from modelhall.stages.prepare.formats._source import BLOCK, Part, Source

_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
"""What the libraries say of archives that are damaged, or packed in ways they do not know."""
_IS_UTF_8 = 0x800
_IS_ENCRYPTED = 0x1


def parts(sources: Iterable[Source], chosen: str | None, folder: Path) -> list[Part]:
    """The files to read rows from, those of archives unpacked below `folder`; `chosen` is a glob for their names."""
    found: list[Part] = []
    for number, source in enumerate(sources):
        if _is_archive(source.name):
            found += _unpacked(source, chosen, folder / str(number))
        elif chosen is None or PurePosixPath(source.name).match(chosen):
            found.append(Part(source.name, source.path, source.limits))
    if not found:
        raise Rejected(f"no file there is called {chosen!r}" if chosen else "no file there", field="source")
    return found


class _Member(NamedTuple):
    """One regular file of an archive: its name, as checked, and its content in pieces."""

    name: str
    content: Iterator[bytes]


def _unpacked(source: Source, chosen: str | None, folder: Path) -> list[Part]:
    allowed = _packed.Allowance(source.name, source.path.stat().st_size, source.limits)
    read = _zip_members if source.name.lower().endswith(".zip") else _tar_members
    seen: set[str] = set()
    try:
        for name, content in read(source):
            if name in seen:
                raise Rejected(f"{source.name} holds {name!r} twice", field="source")
            seen.add(name)
            if len(seen) > source.limits.members:
                raise Rejected(
                    f"{source.name} holds more than {source.limits.members:,} files "
                    "(setting `source_members`)",
                    field="source",
                )
            if chosen is None or PurePosixPath(name).match(chosen):
                _lay(folder / name, content, allowed, source.name)
            else:
                seen.discard(name)
    except (*_DAMAGED, OSError) as error:
        # A place before the beginning of the file is what a damaged table of contents leads to.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise Rejected(f"{source.name} cannot be unpacked: {error}", field="source") from None
    return [Part(f"{source.name}/{name}", folder / name, source.limits) for name in sorted(seen)]


def _lay(path: Path, content: Iterator[bytes], allowed: _packed.Allowance, archive: str) -> None:
    """Write one member, as far as the archive is still allowed to unpack."""
    if _is_archive(path.name):
        raise Rejected(f"{archive} holds another archive, {path.name}; unpack it first", field="source")
    with _packed.refusing_full_disk(archive):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Rejected(
                f"{archive} uses {path.name!r} as a file and as a folder", field="source"
            ) from None
        with file:
            for block in content:
                allowed.take(len(block))
                file.write(block)


def _zip_members(source: Source) -> Iterator[_Member]:
    with zipfile.ZipFile(source.path) as archive:
        for entry in archive.infolist():
            name = _checked(_name_in_zip(entry), source.name)
            if name is None or entry.is_dir():
                continue
            if entry.flag_bits & _IS_ENCRYPTED:
                raise Rejected(f"{source.name} is encrypted; unpack it first", field="source")
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise Rejected(f"{source.name}: {name!r} is a link or a device, not a file", field="source")
            with archive.open(entry) as content:
                yield _Member(name, _pieces(content))


def _name_in_zip(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: many programs write GB18030 or UTF-8 without saying so."""
    if entry.flag_bits & _IS_UTF_8 or entry.filename.isascii():
        return entry.filename
    stored = entry.filename.encode("cp437")
    for encoding in ("utf-8", "gb18030"):
        try:
            return stored.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _tar_members(source: Source) -> Iterator[_Member]:
    stream = _Stream(_packed.blocks(source.path, _as_packed(source.name), source.limits, BLOCK))
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for entry in archive:
            name = _checked(entry.name, source.name)
            if name is None or entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise Rejected(f"{source.name}: {name!r} is a link or a device, not a file", field="source")
            content = archive.extractfile(entry)
            assert content is not None
            yield _Member(name, _pieces(content))


def _as_packed(name: str) -> str:
    """The name of a tar with the ending that tells how it is packed, also where it is told in short."""
    for short, long in ((".tgz", ".gz"), (".tbz2", ".bz2"), (".txz", ".xz")):
        if name.lower().endswith(short):
            return name + long
    return name


class _Stream:
    """The file that pieces come from, as far as tarfile needs one."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (block := next(self._blocks, b"")):
            self._rest += block
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _checked(name: str, archive: str) -> str | None:
    """A member's name, None for one that is passed over; raises Rejected for one that leads out of the archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")):
        raise Rejected(f"{archive}: {name!r} leads out of the archive", field="source")
    if not str(path).isprintable():
        raise Rejected(f"{archive}: {name!r} has what cannot be printed", field="source")
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return None if hidden or not path.parts else str(path)


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while block := content.read(BLOCK):
        yield block


def _is_archive(name: str) -> bool:
    return name.lower().endswith((".zip", *_TARS))
