"""Passwords: what is kept of one, and whether one is right. They are for people who sign in, never for programs.

What is kept is argon2id (RFC 9106) of the password's HMAC-SHA256 under a key of the hall's, so whoever sees the store
and not that key has nothing to try guesses on. Both functions take most of a second of one processor and 64 MiB by
design; that they run in threads, and only a few at a time, is left to `app/signing_in.py`.
"""

from __future__ import annotations

import base64
import hmac
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from modelhall.core.errors import Rejected
from modelhall.trust.tokens import key_for

SHORTEST = 12
PASSES, MEMORY_KIB, LANES = 3, 64 * 1024, 1
"""As in the second choice of RFC 9106, but in one lane: a check is to take one processor, not all."""

_argon2 = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)


def _nobodys() -> str:
    """What would be kept of a password that nobody knows."""
    salt, tag = (base64.b64encode(bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${tag}"


NOBODYS = _nobodys()


class Passwords:
    """The passwords of one hall."""

    def __init__(self, key: bytes) -> None:
        """`key` is the hall's."""
        self._key = key_for("password", key)

    def hash(self, password: str) -> str:
        """What is kept of a password; raises Rejected for one that is too short. Nothing else is asked of it: rules
        about its characters make people choose worse ones."""
        if len(password) < SHORTEST:
            raise Rejected(
                f"a password has at least {SHORTEST} characters, this one has {len(password)}; "
                "take a few words",
                field="password",
            )
        return _argon2.hash(self._keyed(password))

    def is_right(self, password: str, kept: str) -> bool:
        """Whether this is the password something was kept of. Where nothing was, such as of a user there is none of,
        it is not, and to find that out costs the same."""
        try:
            _argon2.verify(kept or NOBODYS, self._keyed(password))
        except VerifyMismatchError:
            return False
        return bool(kept)

    def _keyed(self, password: str) -> bytes:
        return hmac.digest(self._key, _normal(password).encode(), "sha256")


def _normal(password: str) -> str:
    """The same text, however the keyboard has composed its characters."""
    return unicodedata.normalize("NFKC", password)
