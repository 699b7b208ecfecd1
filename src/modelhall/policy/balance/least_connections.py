"""`least-connections`: the replica with the least to do; good when some requests take longer than others."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica with the fewest requests in flight; among equals, take turns."""
    healthy = [r for r in replicas if r.healthy]
    if not healthy:
        return None
    fewest = min([r.in_flight for r in healthy])
    idlest = [r for r in healthy if r.in_flight == fewest]
    return idlest[request.sequence % len(idlest)]
