"""Which replica answers a request: one file a policy, named as in a service's `balance:`.

A policy is one pure function, `pick(request, replicas)`, of the facts below. It returns one of `replicas` that is
healthy, or None when none is, and keeps nothing between calls: what grows from request to request is among the facts.
Which replicas may be asked at all (version, standby, not yet tried) is settled already. A policy that goes by what
replicas have of a prompt says so with `BY_PROMPT = True`: keeping count of it costs time that others need not spend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar


class Request(NamedTuple):
    """What is known of a request when its replica is picked."""

    sequence: int
    """How many picks this gateway made for the service before."""
    source: str = ""
    """Who asks, from where."""
    blocks: int = 0
    """The length of its prompt, for a policy that goes by it."""
    shared: Mapping[str, int] = {}
    """How many blocks of the prompt's beginning a replica was sent before, by its name."""


class Replica(Protocol):
    """What is known of a replica at that moment."""

    @property
    def name(self) -> str: ...

    @property
    def healthy(self) -> bool: ...

    @property
    def in_flight(self) -> int:
        """Requests this gateway has sent it and that are not answered to the end."""
        ...

    @property
    def latency_s(self) -> float:
        """How long it takes to begin an answer, lately; 0 when that is not known."""
        ...

    @property
    def recent_blocks(self) -> float:
        """Blocks of prompts it had to read, lately, since nothing like them was sent to it before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A replica as somebody tells of it."""

    name: str
    healthy: bool = True
    in_flight: int = 0
    latency_s: float = 0.0
    recent_blocks: float = 0.0


R = TypeVar("R", bound=Replica)
Pick = Callable[[Request, Sequence[Any]], Any]
"""Of the replicas one, of the type they are of."""
