"""Files that only their owner can read: keys, tokens. Never readable by others, not even for a moment."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from modelhall.core import files
from modelhall.core.errors import Rejected

MODE = 0o600
MOST_BYTES = 2**20


def read(path: Path, *, otherwise: str = "remove it, and the hall makes a new one") -> bytes | None:
    """What is in the file, or None when there is none. Raises Rejected when others could have read it, saying what
    is to be done then."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise Rejected(f"{path} can be read by others (mode {mode:04o}); {otherwise}")
        return file.read(MOST_BYTES)


def read_or_create(path: Path, content: bytes) -> bytes:
    """What is in the file; `content`, once it is there, when there was none. Of several who create it at the
    same time one wins, and all read what it wrote."""
    found = read(path)
    if found is not None:
        return found
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    files.write_bytes(temporary, content, MODE)
    try:
        # A link, not a rename: it fails where there is a file, and the file it makes is whole from the start.
        os.link(temporary, path)
    except FileExistsError:
        return read_or_create(path, content)
    finally:
        temporary.unlink()
    files.sync_folder(path.parent)
    return content


def replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of what was there, whole or not at all."""
    files.write_bytes(path, content, MODE)
