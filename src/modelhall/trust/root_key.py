"""The key under all others: where it comes from, and what may be one.

    ""                   HOME/keys/root.key, made at the first start
    file:/PATH           another file; readable by its owner only, and made by whoever keeps it
    command:WORDS        what a program prints, such as one that asks a vault; run without a shell

A root key is 64 hex digits, as `openssl rand -hex 32` prints them. No error tells any of it, nor what a command said.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from modelhall.core.errors import Rejected
from modelhall.trust import private_file

FILE, COMMAND = "file:", "command:"
LONGEST_S = 30.0
_SHAPE = re.compile(rb"[0-9a-fA-F]{64}")
_FIELD = "root_key"


def read(source: str) -> bytes:
    """The root key that `file:` or `command:` gives. Raises Rejected when it gives none."""
    if source.startswith(FILE):
        path = Path(source.removeprefix(FILE))
        found = from_file(path)
        if found is None:
            raise Rejected(f"there is no root key at {path}; put it there", field=_FIELD)
        return found
    if source.startswith(COMMAND):
        return _parsed(_printed(source.removeprefix(COMMAND)), "what the command for the root key prints")
    raise Rejected("a root key is given as file:/PATH or command:WORDS", field=_FIELD)


def from_file(path: Path) -> bytes | None:
    """The root key in a file, or None when there is none. Raises Rejected for a file that holds none, or that others
    can read."""
    found = private_file.read(
        path, otherwise="`chmod 600` it, and rotate the root key if others may have read it"
    )
    return None if found is None else _parsed(found, str(path))


def written(key: bytes) -> bytes:
    """A key as it stands in a file."""
    return f"{key.hex()}\n".encode()


def _parsed(text: bytes, where: str) -> bytes:
    if not _SHAPE.fullmatch(text.strip()):
        raise Rejected(
            f"{where} is no root key: that is 64 hex digits (`openssl rand -hex 32`)", field=_FIELD
        )
    return bytes.fromhex(text.strip().decode())


def _printed(words: str) -> bytes:
    try:
        argv = shlex.split(words)
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_S, check=True
        )
    except (ValueError, IndexError) as error:
        raise Rejected(f"the command for the root key cannot be read: {error}", field=_FIELD) from None
    except OSError as error:
        raise Rejected(
            f"the command for the root key cannot be run: {error.strerror}", field=_FIELD
        ) from None
    except subprocess.TimeoutExpired:
        raise Rejected(
            f"the command for the root key has not ended after {LONGEST_S:g} s", field=_FIELD
        ) from None
    except subprocess.CalledProcessError as error:
        raise Rejected(
            f"the command for the root key ended with code {error.returncode}; run it by hand to see why",
            field=_FIELD,
        ) from None
    return done.stdout
