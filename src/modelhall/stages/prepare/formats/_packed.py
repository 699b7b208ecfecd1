"""Packed files (gz, bz2, zst), unpacked as a stream that ends where a bomb would begin."""

from __future__ import annotations

import bz2
import errno
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

import zstandard

from modelhall.core.errors import Full, Rejected
from modelhall.core.ports.source import Limits

SLACK = 2**20
"""What any file may unpack to, however little it was: a page of blanks packs to nothing."""
_LARGEST_WINDOW = 128 * 2**20
_AGAIN_S = 60.0


def _gz(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path, "rb"))


def _bz2(path: Path) -> IO[bytes]:
    return cast(IO[bytes], bz2.BZ2File(path, "rb"))


def _zst(path: Path) -> IO[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    return cast(IO[bytes], unpacker.stream_reader(path.open("rb"), read_across_frames=True))


_OPENERS: dict[str, Callable[[Path], IO[bytes]]] = {".gz": _gz, ".bz2": _bz2, ".zst": _zst}


def packing(name: str) -> str | None:
    """How the file of this name is packed: the ending that tells it, or None."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix in _OPENERS else None


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
    except (EOFError, zlib.error, zstandard.ZstdError, OSError) as error:
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
