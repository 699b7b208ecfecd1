"""`prefix-affinity`: the replica that has most of the prompt in its cache, unless it has much more to do than others.

What a replica has of a prompt it need not read again, which is most of the work of a long conversation. But a replica
that alone knows what many ask for would get them all. So what is weighed is work: the blocks of the prompt that a
replica would have to read, and those that it has had to read lately, more than the others have.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request

BY_PROMPT = True
RECENT = 0.2
"""What a block counts that a replica has read lately, against one that it would have to read now."""
WAITING = 1.0
"""What a request counts that a replica is still at, in blocks."""


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose the healthy replica with the least work, if the request were sent to it; among equals, take turns."""
    healthy = [r for r in replicas if r.healthy]
    if not healthy:
        return None
    shared = request.shared
    works = [
        request.blocks - shared.get(r.name, 0) + WAITING * r.in_flight + RECENT * r.recent_blocks
        for r in healthy
    ]
    least = min(works)
    best = [r for r, work in zip(healthy, works, strict=True) if work == least]
    return best[request.sequence % len(best)]
