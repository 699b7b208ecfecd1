"""What the workers of one training on several nodes prove themselves by: they meet over a network, where any program
that reaches the port could say it is one of them."""

from __future__ import annotations

import hmac

GANG_KEY = "gang-key"
"""The secret of the hall's own that trainings with workers elsewhere are handed, and those that lend them."""


def gang_key(hall_key: bytes) -> str:
    """The key that those of all gangs of a hall are made from, in hex."""
    return hmac.digest(hall_key, b"gangs", "sha256").hex()


def key_of_gang(key: str, *, run: str, attempt: int, order: str) -> bytes:
    """The key of one gang: of this attempt of a run, which carries out the order with this key."""
    return hmac.digest(bytes.fromhex(key), f"{run}/{attempt}/{order}".encode(), "sha256")
