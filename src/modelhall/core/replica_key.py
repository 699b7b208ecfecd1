"""What replicas are asked with: they listen on the loopback of their node, which every program there can reach, and
answer nobody who does not show the key that the hall hands to them and to its gateway."""

from __future__ import annotations

import hmac

REPLICA_KEY = "replica-key"
"""The secret of the hall's own that replicas are handed."""
HEADER = b"x-hall-replica-key"


def replica_key(hall_key: bytes) -> str:
    """The key of all replicas of a hall, in hex."""
    return hmac.digest(hall_key, b"replicas", "sha256").hex()


def is_shown(key: str, headers: dict[bytes, bytes]) -> bool:
    """Whether the key stands in the headers of a request; how long it takes says nothing about it."""
    return hmac.compare_digest(headers.get(HEADER, b""), key.encode())
