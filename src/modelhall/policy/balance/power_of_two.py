"""`power-of-two`: the less busy of two replicas taken at random.

Nearly as even as asking all of them, and several gateways that do not know of each other's requests do not all run
to the same replica (Mitzenmacher 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.policy.balance import R, Request

_MASK = 2**64 - 1


def pick(request: Request, replicas: Sequence[R]) -> R | None:
    """Choose two healthy replicas by chance, and of them the one with fewer requests in flight."""
    healthy = [r for r in replicas if r.healthy]
    if len(healthy) < 2:
        return healthy[0] if healthy else None
    chance = _mixed(request.sequence)
    first = chance % len(healthy)
    other = (first + 1 + (chance >> 32) % (len(healthy) - 1)) % len(healthy)
    one, two = healthy[first], healthy[other]
    return two if two.in_flight < one.in_flight else one


def _mixed(sequence: int) -> int:
    """Chance that can be repeated: the request's number, mixed (splitmix64, Steele et al. 2014)."""
    mixed = (sequence + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    return mixed ^ mixed >> 31
