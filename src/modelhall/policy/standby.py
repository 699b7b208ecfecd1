"""Which replicas of a service are asked and which stand by: ready, warm, and idle until one of the others fails."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R


def asked(replicas: Sequence[R], count: int) -> list[R]:
    """The first `count` healthy ones in the order given: each that fails makes way for the next."""
    return [replica for replica in replicas if replica.healthy][:count]
