"""`least-latency`: the replica that will likely answer first; good where some machines are faster than others."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica for which its latency, times the requests before this one, is least.

    One whose latency is not known is taken for as fast as the fastest, so that it becomes known; among equals, take
    turns.
    """
    healthy = [r for r in replicas if r.healthy]
    if not healthy:
        return None
    fastest_s = min((r.latency_s for r in healthy if r.latency_s), default=1.0)
    waits_s = [(r.latency_s or fastest_s) * (r.in_flight + 1) for r in healthy]
    least_s = min(waits_s)
    best = [r for r, wait_s in zip(healthy, waits_s, strict=True) if wait_s == least_s]
    return best[request.sequence % len(best)]
