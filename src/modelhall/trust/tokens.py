"""Bearer tokens: made, kept, and checked at every request.

A token is 256 random bits behind `mh_`. What the hall keeps of it, in `tokens.json`, is its HMAC-SHA256 under
the hall's own key, in `token.key`: whoever sees the one without the other can neither use a token nor test
one. The first token is also kept as it is, in `token`, for the command line on the same machine. All three
files are readable by their owner only.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from modelhall.core.errors import Broken, Denied
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.trust import private_file

PREFIX = "mh_"
SHAPE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
KEY_BYTES = 32
FIRST = "first"
"""The name of the token made at the first start."""
LONGEST_HEADER = 512
KEY_FILE, RECORDS_FILE, TOKEN_FILE = "token.key", "tokens.json", "token"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who is asking."""

    name: str
    """Name of the token."""
    project: str


class TokenRecord(Frozen):
    """What the hall keeps of a token."""

    name: str
    project: str = DEFAULT_PROJECT
    digest: str = Field(repr=False)
    """HMAC-SHA256 of the token under the hall's key, in hex."""


Authenticator = Callable[[bytes | str | None], Identity]

_RECORDS = TypeAdapter(list[TokenRecord])


def new_token() -> str:
    """A token nobody can guess: 256 bits."""
    return PREFIX + secrets.token_urlsafe(32)


def first_token(folder: Path) -> str:
    """The first token of the hall that lives in `folder`; made at its first start, together with its key.
    When its file was removed, a new one takes its place and the old one is not known any more."""
    key = _whole_key(folder, private_file.read_or_create(folder / KEY_FILE, secrets.token_bytes(KEY_BYTES)))
    made = f"{new_token()}\n".encode()
    token = _whole_token(folder, private_file.read_or_create(folder / TOKEN_FILE, made))
    record = TokenRecord(name=FIRST, digest=digest_of(token, key))
    records = _read_records(folder)
    if record not in records:
        kept = [record, *(other for other in records if other.name != FIRST)]
        private_file.replace(folder / RECORDS_FILE, json.dumps([one.model_dump() for one in kept]).encode())
    return token


def read_token(folder: Path) -> str | None:
    """The first token of the hall in `folder`, for its own command line; None before its first start."""
    found = private_file.read(folder / TOKEN_FILE)
    return None if found is None else _whole_token(folder, found)


def authenticator_of(folder: Path) -> Authenticator:
    """The authenticator over the tokens now kept in `folder`. Raises Broken before the hall's first start."""
    key = private_file.read(folder / KEY_FILE)
    if key is None:
        raise Broken(f"there is no {KEY_FILE} in {folder}; a hall makes it when it starts")
    return authenticator(_whole_key(folder, key), _read_records(folder))


def authenticator(key: bytes, records: Iterable[TokenRecord]) -> Authenticator:
    """A function from the value of an Authorization header to who is asking; it raises Denied (401).

    How long it takes says nothing about any token: what is presented is compared by its HMAC, which nobody
    without the key can steer.
    """
    known = {bytes.fromhex(record.digest): record for record in records}
    identities = {digest: Identity(name=one.name, project=one.project) for digest, one in known.items()}

    def authenticate(header: bytes | str | None) -> Identity:
        presented = hmac.digest(key, _token_in(header), "sha256")
        identity = identities.get(presented)
        if identity is None:
            raise Denied("this hall does not know the token that was sent", status=401)
        return identity

    return authenticate


def digest_of(token: str, key: bytes) -> str:
    """What is kept of a token, in hex."""
    return hmac.digest(key, token.encode(), "sha256").hex()


def _token_in(header: bytes | str | None) -> bytes:
    if not header:
        raise Denied("no token was sent; send `Authorization: Bearer mh_…`", status=401)
    raw = header.encode(errors="replace") if isinstance(header, str) else header
    scheme, _, token = raw.partition(b" ")
    if len(raw) > LONGEST_HEADER or scheme.lower() != b"bearer":
        raise Denied("the Authorization header is not `Bearer mh_…`", status=401)
    return token.strip()


def _whole_key(folder: Path, found: bytes) -> bytes:
    if len(found) != KEY_BYTES:
        raise Broken(f"{folder / KEY_FILE} is damaged; remove it and {RECORDS_FILE}, and make new tokens")
    return found


def _whole_token(folder: Path, found: bytes) -> str:
    """The token in its file. What is no token must not become one: an empty file would let everybody in."""
    token = found.decode(errors="replace").strip()
    if not SHAPE.fullmatch(token):
        raise Broken(f"{folder / TOKEN_FILE} holds no token; remove it, and the next start makes a new one")
    return token


def _read_records(folder: Path) -> list[TokenRecord]:
    found = private_file.read(folder / RECORDS_FILE)
    try:
        return [] if found is None else _RECORDS.validate_json(found)
    except ValidationError:
        raise Broken(f"{folder / RECORDS_FILE} is damaged; restore it from a backup, or remove it") from None
