"""How many replicas are needed for what is seen: one file a rule, named as in a service's `replicas.by`.

A rule is one pure function, `needed(load, target)`, of the facts below. It returns a number that may be a fraction,
or None where the facts do not tell. Bounds, and how long to wait before replicas are given up, are not its affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a service was at, lately, at all gateways together."""

    replicas: int
    """Those that answer."""
    at_once: int
    """As many requests one of them works on at the same time."""
    concurrency: float
    """Requests at replicas or waiting for one, on the mean."""
    latency_s: float | None
    """How long it takes until an answer begins; None when that is not known."""


Needed = Callable[[Load, float], float | None]
