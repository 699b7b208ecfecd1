"""Packed files (gz, bz2, xz, zst), unpacked as a stream that ends where a bomb would begin."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from modelhall.core.errors import Full, Rejected
from modelhall.core.file_formats import packing
from modelhall.core.ports.source import Limits

SLACK = 2**20
"""What any file may unpack to, however little it was: a page of blanks packs to nothing."""
_LARGEST_WINDOW = 128 * 2**20
_XZ_BLOCK = 2**16
_AGAIN_S = 60.0


def _gz(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path, "rb"))


def _bz2(path: Path) -> IO[bytes]:
    return cast(IO[bytes], bz2.BZ2File(path, "rb"))


def _zst(path: Path) -> IO[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    return cast(IO[bytes], unpacker.stream_reader(path.open("rb"), read_across_frames=True))


class _Xz(io.RawIOBase):
    """xz, one stream or several, one after the other. The library's own file takes as much memory as a header asks
    for, which may be gigabytes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._unpacker: lzma.LZMADecompressor | None = None

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes more; none at the end. Raises LZMAError, and EOFError for a file that is cut off."""
        while True:
            packed = b""
            if self._unpacker is None or self._unpacker.eof:
                packed = self._next_stream(self._unpacker.unused_data if self._unpacker else b"")
                if not packed:
                    return b""
                self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_WINDOW)
            elif self._unpacker.needs_input and not (packed := self._file.read(_XZ_BLOCK)):
                raise EOFError("it ends before its end")
            if data := self._unpacker.decompress(packed, max_length=size):
                return data

    def _next_stream(self, packed: bytes) -> bytes:
        """The first bytes of the next stream, behind what fills up the one before; nothing at the end of the file."""
        while not (found := packed.lstrip(b"\0")) and (packed := self._file.read(_XZ_BLOCK)):
            pass
        return found

    def close(self) -> None:
        self._file.close()
        super().close()


_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {
    ".gz": _gz, ".bz2": _bz2, ".xz": lambda path: cast(IO[bytes], _Xz(path)), ".zst": _zst,
}  # fmt: skip


def blocks(path: Path, name: str, limits: Limits, size: int) -> Iterator[bytes]:
    """The content of `path`, unpacked, in pieces of about `size` bytes. Raises Rejected for what cannot be unpacked
    and for what unpacks to more than the limits allow."""
    how = packing(name)
    if how is None:
        with path.open("rb") as file:
            while block := file.read(size):
                yield block
        return
    allowed = Allowance(name, path.stat().st_size, limits)
    try:
        with _OPENERS[how](path) as file:
            while block := file.read(size):
                allowed.take(len(block))
                yield block
    except (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError) as error:
        raise _damaged(name, error) from None


class Allowance:
    """How much may still come out of one packed file."""

    def __init__(self, name: str, packed_bytes: int, limits: Limits) -> None:
        self._name = name
        self._packed = packed_bytes
        self._limits = limits
        self._taken = 0

    def take(self, size: int) -> None:
        """Count what was unpacked; raises Rejected once it is too much."""
        self._taken += size
        if self._taken > self._limits.unpacked_bytes:
            raise Rejected(
                f"{self._name} unpacks to more than {self._limits.unpacked_bytes:,} bytes "
                "(setting `source_unpacked_bytes`)",
                field="source",
            )
        if self._taken > SLACK + self._limits.unpacked_ratio * self._packed:
            raise Rejected(
                f"{self._name} unpacks to more than {self._limits.unpacked_ratio:g} times its {self._packed:,} "
                "bytes, as bombs do (setting `source_unpacked_ratio`)",
                field="source",
            )


@contextmanager
def refusing_full_disk(name: str) -> Iterator[None]:
    """Say of a disk that fills up while `name` is unpacked that there is no room, which time may change."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"no room on the disk to unpack {name}", delay_s=_AGAIN_S) from None
        raise


def _damaged(name: str, error: Exception) -> Exception:
    """What to raise for an error on the way; those of the disk, which carry a number, stay what they are."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return Rejected(f"{name} cannot be unpacked: {error}", field="source")
