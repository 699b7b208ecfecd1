"""Bearer tokens: what they look like, what the hall keeps of them, and the first one.

A token is 256 random bits behind `mh_`. What the hall keeps is its HMAC-SHA256 under the hall's own key, in
`token.key`: whoever sees the one without the other can neither use a token nor test one. The first token, an
operator's, is kept as it is, in `token`, for the command line on the same machine. Both files are readable by their
owner only. Whose a token is and what it may do is left to `directory.py`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from pathlib import Path

from modelhall.core.errors import Broken, Denied
from modelhall.trust import private_file

PREFIX = "mh_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
KEY_BYTES = 32
LONGEST_HEADER = 512
KEY_FILE, TOKEN_FILE = "token.key", "token"


def new_token() -> str:
    """A token nobody can guess: 256 bits."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: bytes, key: bytes) -> bytes:
    """What is kept of a token."""
    return hmac.digest(key, token, "sha256")


def key_for(purpose: str, key: bytes) -> bytes:
    """A key of its own for something else than tokens, made of the hall's."""
    return hmac.digest(key, f"modelhall {purpose}".encode(), "sha256")


def first_token(folder: Path) -> str:
    """The first token of the hall that lives in `folder`; made at its first start, together with its key.
    When its file was removed, a new one takes its place and the old one is not known any more."""
    _whole_key(folder, private_file.read_or_create(folder / KEY_FILE, secrets.token_bytes(KEY_BYTES)))
    made = f"{new_token()}\n".encode()
    return _whole_token(folder, private_file.read_or_create(folder / TOKEN_FILE, made))


def read_token(folder: Path) -> str | None:
    """The first token of the hall in `folder`, for its own command line; None before its first start."""
    found = private_file.read(folder / TOKEN_FILE)
    return None if found is None else _whole_token(folder, found)


def read_key(folder: Path) -> bytes:
    """The key of the hall in `folder`. Raises Broken before its first start."""
    key = private_file.read(folder / KEY_FILE)
    if key is None:
        raise Broken(f"there is no {KEY_FILE} in {folder}; a hall makes it when it starts")
    return _whole_key(folder, key)


def token_in(header: bytes | str | None) -> bytes:
    """The token in the value of an Authorization header; raises Denied (401)."""
    if not header:
        raise Denied("no token was sent; send `Authorization: Bearer mh_…`", status=401)
    raw = header.encode(errors="replace") if isinstance(header, str) else header
    scheme, _, token = raw.partition(b" ")
    if len(raw) > LONGEST_HEADER or scheme.lower() != b"bearer":
        raise Denied("the Authorization header is not `Bearer mh_…`", status=401)
    return token.strip()


def unknown_token() -> Denied:
    """What everybody is told whose token is not known; also one whose token was put out to be found."""
    return Denied("this hall does not know the token that was sent", status=401)


def _whole_key(folder: Path, found: bytes) -> bytes:
    if len(found) != KEY_BYTES:
        raise Broken(f"{folder / KEY_FILE} is damaged; remove it, and make new tokens")
    return found


def _whole_token(folder: Path, found: bytes) -> str:
    """The token in its file. What is no token must not become one: an empty file would let everybody in."""
    token = found.decode(errors="replace").strip()
    if not SHAPE.fullmatch(token):
        raise Broken(f"{folder / TOKEN_FILE} holds no token; remove it, and the next start makes a new one")
    return token
