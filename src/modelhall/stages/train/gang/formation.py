"""Which workers form a group, and whose state it goes on with: a function of who is at hand.

Those who are left after a loss go on at once, with more shards each; whoever replaces the lost one is taken in as
soon as it has prepared itself. Only the first group waits for all, and so does one in which nobody has any state; but
it waits for nobody who is lent by another node, and may never come. The first of a group is one of the leader's own:
he has the folder that checkpoints go to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Hand:
    """What the leader knows of one worker."""

    doing: Literal["preparing", "free", "working", "leaving", "keeping"]
    """`leaving` is one that was told to leave its group and has not yet, `keeping` one that writes a checkpoint."""
    step: int | None = None
    """Of one that is free: after which step its state is; None when it has none."""
    lent: bool = False
    """Whether it is on another node than the leader."""


@dataclass(frozen=True, kw_only=True)
class Formation:
    """A group of these workers, in order of their ranks."""

    workers: list[int]
    source: int
    """The rank of the one whose state it goes on with."""
    behind: list[int]
    """The ranks of those that need it."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """This worker is to leave its group, which then falls apart."""

    worker: int


def decide(hands: Sequence[Hand], wanted: int) -> Formation | Call | None:
    """What is to be done about these workers, the leader's own first and the oldest of them first; nothing while some
    have yet to come to hand. `wanted` is how many of its own there are to be."""
    free = [number for number, hand in enumerate(hands) if hand.doing == "free"]
    working = [number for number, hand in enumerate(hands) if hand.doing == "working"]
    has_newcomers = any(hands[number].step is None for number in free)
    if any(hand.doing == "leaving" for hand in hands):
        return None
    if working:
        return Call(worker=working[0]) if has_newcomers else None
    steps = [hands[number].step for number in free]
    known = [step for step in steps if step is not None]
    own = [number for number in free if not hands[number].lent]
    if not own or (not known and len(own) < wanted):
        return None
    source = steps.index(max(known)) if known else 0
    behind = [
        rank for rank in range(len(free)) if rank != source and (not known or steps[rank] != max(known))
    ]
    return Formation(workers=free, source=source, behind=behind)
