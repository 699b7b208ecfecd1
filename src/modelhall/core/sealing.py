"""Sealed content: encrypted under a data key of its own, and unreadable for whoever lacks the key that wraps it.

    content:      magic ‖ 7 random bytes ‖ AES-256-GCM of each MiB of plaintext, one after the other
    wrapped key:  magic ‖ id of the wrapping key ‖ 12 random bytes ‖ AES-256-GCM of the data key

Content follows the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its
Nonce-Reuse Misuse-Resistance, 2015): a chunk's nonce holds its number and whether it is the last, so content that was
cut off, put in another order or put together from several is found, chunk by chunk, before any of it is handed on.
Everything is bound to the words it is `about`: put in another's place, it does not open.

Nothing here reads a file. Which keys there are, and who holds them, is left to `trust/keys.py`; where sealed content
and its wrapped key lie, to the adapters.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modelhall.core.errors import Broken

KEY_BYTES = 32
CHUNK_BYTES = 1 << 20
TAG_BYTES = 16
CONTENT_MAGIC, KEY_MAGIC = b"MHSEAL\x01\n", b"MHKEY\x01"
PREFIX_BYTES, NONCE_BYTES, ID_BYTES = 7, 12, 8
WRAPPED_BYTES = len(KEY_MAGIC) + ID_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES


@dataclass(frozen=True, kw_only=True)
class KeySet:
    """Keys that wrap others: those of one project, in all its generations, or the root's."""

    of: str
    """Whose they are, in a word."""
    newest: str | None
    """The id of the one that wraps from now on; None when nothing new is sealed."""
    keys: Mapping[str, bytes] = field(repr=False)
    """By id."""


KeysOf = Callable[[str], KeySet | None]
"""A project's keys; None when it has none and its content is kept as it is."""


def new_key() -> bytes:
    """A key nobody can guess: 256 bits."""
    return secrets.token_bytes(KEY_BYTES)


def id_of(key: bytes) -> str:
    """The name of a key, in hex, which tells nothing about it."""
    return hmac.digest(key, b"modelhall key id", "sha256")[:ID_BYTES].hex()


def wrap(key: bytes, by: KeySet, about: str) -> bytes:
    """`key`, sealed by the newest of these keys. Raises Broken when nothing new is to be sealed by them."""
    if by.newest is None:
        raise Broken(f"the keys of {by.of} wrap nothing new, and were asked to wrap {about}")
    nonce = secrets.token_bytes(NONCE_BYTES)
    head = KEY_MAGIC + bytes.fromhex(by.newest)
    return head + nonce + AESGCM(by.keys[by.newest]).encrypt(nonce, key, head + about.encode())


def unwrap(wrapped: bytes, by: KeySet, about: str) -> bytes:
    """The key in `wrapped`. Raises Broken when the key that wrapped it is not there, and when it was changed or is
    about something else."""
    wrapping = by.keys.get(wrapped_by(wrapped, about))
    if wrapping is None:
        raise Broken(
            f"{about} is sealed with key {wrapped_by(wrapped, about)}, which {by.of} does not have: it was "
            "deleted, or belongs to another hall"
        )
    head = len(KEY_MAGIC) + ID_BYTES
    nonce, sealed = wrapped[head : head + NONCE_BYTES], wrapped[head + NONCE_BYTES :]
    try:
        return AESGCM(wrapping).decrypt(nonce, sealed, wrapped[:head] + about.encode())
    except InvalidTag:
        raise Broken(f"the wrapped key of {about} is damaged, or belongs to something else") from None


def rewrapped(wrapped: bytes, by: KeySet, about: str) -> bytes | None:
    """The same key wrapped by the newest of these keys; None when it is already. Raises as `unwrap` does."""
    if wrapped_by(wrapped, about) == by.newest:
        return None
    return wrap(unwrap(wrapped, by, about), by, about)


def wrapped_by(wrapped: bytes, about: str) -> str:
    """The id of the key that wrapped this; raises Broken when it is no wrapped key."""
    if len(wrapped) != WRAPPED_BYTES or not wrapped.startswith(KEY_MAGIC):
        raise Broken(f"the wrapped key of {about} is damaged: it has {len(wrapped)} bytes of something else")
    return wrapped[len(KEY_MAGIC) : len(KEY_MAGIC) + ID_BYTES].hex()


def seal(content: Iterable[bytes], key: bytes, about: str) -> Iterator[bytes]:
    """`content` sealed, piece by piece; never more than a few MiB of it are held."""
    head = CONTENT_MAGIC + secrets.token_bytes(PREFIX_BYTES)
    cipher, known = AESGCM(key), head + about.encode()
    yield head
    for number, (chunk, is_last) in enumerate(_marked(_chunks(content))):
        yield cipher.encrypt(_nonce(head, number, is_last=is_last), chunk, known)


def opened(sealed: BinaryIO, key: bytes, about: str) -> Iterator[bytes]:
    """The content of what was sealed, piece by piece, each as it was. Raises Broken at the first that is not, and at
    the end when it is not the end."""
    head = sealed.read(len(CONTENT_MAGIC) + PREFIX_BYTES)
    if len(head) != len(CONTENT_MAGIC) + PREFIX_BYTES or not head.startswith(CONTENT_MAGIC):
        raise Broken(f"{about} is damaged: it does not begin as sealed content does")
    cipher, known = AESGCM(key), head + about.encode()
    number = -1
    for number, (chunk, is_last) in enumerate(_marked(_pieces(sealed))):
        try:
            yield cipher.decrypt(_nonce(head, number, is_last=is_last), chunk, known)
        except InvalidTag:
            raise Broken(f"{about} is damaged: piece {number} was changed, moved or cut off") from None
    if number < 0:
        raise Broken(f"{about} is damaged: it ends where it should begin")


def _nonce(head: bytes, number: int, *, is_last: bool) -> bytes:
    return head[-PREFIX_BYTES:] + number.to_bytes(4) + bytes([is_last])


def _marked(chunks: Iterable[bytes | memoryview]) -> Iterator[tuple[bytes | memoryview, bool]]:
    """Each chunk, and whether it is the last."""
    before: bytes | memoryview | None = None
    for chunk in chunks:
        if before is not None:
            yield before, False
        before = chunk
    if before is not None:
        yield before, True


def _chunks(content: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """The same bytes in chunks of one size, the last one excepted; one empty chunk when there are none."""
    waiting = bytearray()
    is_empty = True
    for part in content:
        view = memoryview(part)
        if waiting:
            missing = CHUNK_BYTES - len(waiting)
            waiting += view[:missing]
            view = view[missing:]
        if len(waiting) == CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
            is_empty = False
        whole = len(view) - len(view) % CHUNK_BYTES
        for start in range(0, whole, CHUNK_BYTES):
            yield view[start : start + CHUNK_BYTES]
            is_empty = False
        waiting += view[whole:]
    if waiting or is_empty:
        yield bytes(waiting)


def _pieces(sealed: BinaryIO) -> Iterator[bytes]:
    while piece := sealed.read(CHUNK_BYTES + TAG_BYTES):
        yield piece
