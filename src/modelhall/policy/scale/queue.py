"""`queue`: so many that at each of them no more than `target` requests wait behind those it works on.

The length of the queue by itself would not do: it is 0 while all are busy as well as when all are idle, and whoever
goes by it gives up replicas that are needed.
"""

from __future__ import annotations

from modelhall.policy.scale import Load


def needed(load: Load, target: float) -> float:
    """As many replicas as have room for all that is asked, in a full batch and a queue of the target's length."""
    return load.concurrency / (load.at_once + target)
