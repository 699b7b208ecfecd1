"""`least-connections`: the replica with the least to do; good when some requests take longer than others."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica with the fewest requests in flight; among equals, take turns."""
    idlest: list[R] = []
    for replica in replicas:
        if not replica.healthy:
            continue
        if idlest and replica.in_flight == idlest[0].in_flight:
            idlest.append(replica)
        elif not idlest or replica.in_flight < idlest[0].in_flight:
            idlest = [replica]
    return idlest[request.sequence % len(idlest)] if idlest else None
