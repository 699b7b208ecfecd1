"""`source-hash`: the same caller to the same replica, as long as it is there; good where replicas remember callers.

Rendezvous hashing (Thaler and Ravishankar 1998): each replica draws a number for each caller, the highest has him. A
replica that comes takes its share from all others, one that goes leaves its callers to all of them, and no other
caller moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from modelhall.policy.balance import R, Request


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica that draws the highest number for the request's source."""
    source = request.source.encode()
    return max((r for r in replicas if r.healthy), key=lambda r: _draw(source, r.name), default=None)


def _draw(source: bytes, replica: str) -> bytes:
    """The same in every gateway and after every start, unlike Python's own hash."""
    return blake2b(source, digest_size=8, key=blake2b(replica.encode()).digest()).digest()
