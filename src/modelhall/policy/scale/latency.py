"""`latency`: so many that an answer begins within `target` seconds.

With fewer replicas each has more to do, and waits grow without bound before any is busy all the time; so that what
is seen now does not tell in proportion what would be with more or fewer. Reckoned is by the M/M/1 queue: of what is
in it and how long that takes follow how busy a replica is, and how long an answer takes that waits for nobody.
"""

from __future__ import annotations

from modelhall.policy.scale import Load

BUSIEST = 0.95
"""However long the answers may take, no replica is to be busier."""


def needed(load: Load, target: float) -> float | None:
    """As many replicas as keep the latency at the target; None where it is not known, or no number of them would:
    what takes too long on an idle replica takes as long on one of many."""
    if load.concurrency == 0:
        return 0.0
    if not load.replicas or load.latency_s is None:
        return None
    in_queue = load.concurrency / load.replicas
    busy = in_queue / (1 + in_queue)
    alone_s = load.latency_s * (1 - busy)
    if alone_s >= target:
        return None
    return load.replicas * busy / min(BUSIEST, 1 - alone_s / target)
