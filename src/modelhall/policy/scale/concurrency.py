"""`concurrency`: so many that each has `target` requests at a time (as Knative's autoscaler has it)."""

from __future__ import annotations

from modelhall.policy.scale import Load


def needed(load: Load, target: float) -> float:
    """As many replicas as the requests that are at work or wait, over the target."""
    return load.concurrency / target
