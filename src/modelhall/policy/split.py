"""Which release a request is for while two are in use: a share of the callers, or of the requests, goes to the new
one.

Each caller draws a number once and for all; those below the share are with the new release. So a caller stays where
he is while the share is what it is, and those who have come to the new release stay with it as the share grows.
"""

from __future__ import annotations

from hashlib import blake2b

_ALL = 2.0**64


def is_drawn(who: str, share: float, trial: str) -> bool:
    """Whether `who` belongs to the `share` of all; in another `trial` others are drawn."""
    number = blake2b(who.encode(errors="surrogateescape"), digest_size=8, key=trial.encode()[:64]).digest()
    return int.from_bytes(number, "big") < share * _ALL
