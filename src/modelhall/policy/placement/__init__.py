"""On which of the nodes with room a run starts. One file a rule, named as in the setting `placement`.

A rule is a function `score(typical)`, which returns what tells how good it is that a node goes from `before` to
`after`: the lower the better. It knows nothing of queues or of who asks. Among equals the first node by name is
taken; where a rule says `BY_CHANCE = True`, any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelhall.policy.room import Free, Shape

Score = Callable[[Free, Free], float]


@dataclass(frozen=True, kw_only=True)
class Typical:
    """What is usual in a hall."""

    largest: Free
    """The most of each that a node has."""
    asks: Sequence[tuple[Shape, float]] = ()
    """What runs ask for, each with its share of all runs."""
