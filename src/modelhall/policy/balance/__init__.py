"""Which replica answers a request: one file a policy, named as in a service's `balance:`.

A policy is one pure function, `pick(request, replicas) -> Replica | None`, of the facts below. It returns one
of `replicas` that is healthy, or None when none is, and keeps nothing between calls: what grows from request
to request is among the facts. Which replicas may be asked at all (version, not yet tried) is settled already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of a request when its replica is picked."""

    sequence: int
    """How many picks this gateway made for the service before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What is known of a replica at that moment."""

    name: str
    in_flight: int = 0
    """Requests this gateway has sent it and that are not answered to the end."""
    healthy: bool = True


Pick = Callable[[Request, Sequence[Replica]], Replica | None]
