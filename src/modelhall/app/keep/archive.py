"""A backup as a file: a tar, gzipped or not, that is whole or seen not to be.

    format.json      the first member: the format, so that a newer one is refused before anything is done with it
    resources.jsonl  events.jsonl  book.db  treasury.db  hall.toml  usage/…  runs/…
    blobs/PROJECT/…  contents as they lie there: sealed, with their wrapped keys beside them, or not
    keys/…           the projects' keys, wrapped by the root key, which is never in it
    manifest.json    the last one: size and SHA-256 of every member, so that a file cut off is seen to be

Format 1 had no keys; its blobs were of no project, and not sealed. Format 2 had no treasury.

Written by `writer.py`, read by `reader.py`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import IO

from pydantic import Field

from modelhall.core.kinds.base import Frozen

FORMAT = 3
FIRST, LAST = "format.json", "manifest.json"
RESOURCES, EVENTS, SETTINGS = "resources.jsonl", "events.jsonl", "hall.toml"
BOOK, TREASURY = "book.db", "treasury.db"
USAGE, RUNS, BLOBS = "usage/", "runs/", "blobs/"
KEYS = "keys/projects.json"
NAMES = (
    re.compile(r"resources\.jsonl|events\.jsonl|book\.db|treasury\.db|hall\.toml"),
    re.compile(r"usage/usage-\d{1,30}\.jsonl"),
    re.compile(r"blobs/([a-z][a-z0-9-]{0,62}/)?[0-9a-f]{64}(\.sealed|\.key)?"),
    re.compile(re.escape(KEYS)),
    re.compile(r"runs/[0-9A-Za-z-]{1,64}/(state|\d{1,9})/.+", re.DOTALL),
)
PRIVATE = ("cache", "store", "root_key", "root_key_before")
"""Settings that no backup has: they may hold a password, or run a program."""
LONGEST_NAME = 2048
CHUNK_BYTES = 1 << 20


class Member(Frozen):
    """One member, as the manifest tells of it."""

    size_bytes: int = Field(ge=0)
    sha256: str


class Manifest(Frozen, extra="ignore"):
    """What a backup holds."""

    format: int
    made_by: str
    made_at: float = Field(ge=0)
    revision: int = Field(ge=0, le=2**53)
    """The store's, when everything in `resources.jsonl` was so."""
    members: dict[str, Member]
    damaged: tuple[str, ...] = ()
    """Blobs that could not be read or had no longer their digest: they are in the file as they were found. Each is
    PROJECT/DIGEST, or a DIGEST alone when it is of no project."""
    left_out: tuple[str, ...] = ()
    """Files of runs that are not, or not wholly, in it."""


def is_name(name: str) -> bool:
    """Whether a member may be called this."""
    path = PurePosixPath(name)
    return (
        any(pattern.fullmatch(name) for pattern in NAMES)
        and len(name) <= LONGEST_NAME
        and not path.is_absolute()
        and ".." not in path.parts
        and str(path) == name
        and name.isprintable()
    )


class Exactly:
    """A file read to exactly so many bytes; what is missing or cannot be read is filled up with zeros."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self.was_short = False
        self._file = file
        self._left = size_bytes
        self._seen = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._seen.hexdigest()

    def read(self, size_bytes: int = CHUNK_BYTES) -> bytes:
        wanted = min(size_bytes, self._left)
        try:
            data = self._file.read(wanted)
        except OSError:
            data = b""
        if len(data) < wanted:
            self.was_short = True
            data += bytes(wanted - len(data))
        self._left -= wanted
        self._seen.update(data)
        return data
