"""`round-robin`: each healthy replica in its turn, whatever it is doing."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica whose turn it is, in the order given."""
    healthy = [r for r in replicas if r.healthy]
    return healthy[request.sequence % len(healthy)] if healthy else None
