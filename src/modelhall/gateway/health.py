"""Which replicas may be asked: decisions about one replica's health, as functions of facts.

A replica goes out on bad evidence and comes back when its time out is over and it answers a check. Each time
out is longer than the one before, until it has stayed in for a while. One that answers its checks meanwhile is asked
all the same if there is no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

FIRST_OUT_S = 1.0
LONGEST_OUT_S = 30.0
FORGIVEN_AFTER_S = 60.0
"""A replica that stayed in for so long starts again with the first, short time out."""
BAD_ANSWERS = 3
"""How many answers of 502, 503 or 504 in a row put a replica out."""


class Evidence(Enum):
    """What went wrong with a replica."""

    GONE = "gone"
    """It refused or broke the connection, or says that it is not ready."""
    SLOW = "slow"
    """It did not answer in time: hung, or busy with something heavy."""
    BAD = "bad"
    """It answered that it could not, or not in HTTP."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is held against a replica."""

    out: bool = False
    reason: str = ""
    until: float = 0.0
    """A replica that is out is not let in before this."""
    answers: bool = False
    """Whether one that is out has answered its last check."""
    bad_answers: int = 0
    """In a row."""
    times_out: int = 0
    back_at: float = 0.0


def after_answer(health: Health) -> Health:
    """A good answer ends a row of bad ones. It does not bring back a replica that is out: a check does."""
    return replace(health, bad_answers=0) if health.bad_answers else health


def after_failure(health: Health, evidence: Evidence, reason: str, now: float, *, last: bool) -> Health:
    """Put the replica out if the evidence is enough.

    The `last` one left goes out only when it is gone: one request that is too heavy for any replica must not
    take them all.
    """
    bad_answers = health.bad_answers + (evidence is Evidence.BAD)
    enough = evidence is not Evidence.BAD or bad_answers >= BAD_ANSWERS
    if health.out or not enough or (last and evidence is not Evidence.GONE):
        return replace(health, bad_answers=bad_answers, answers=health.answers and not enough)
    times_out = 1 if now - health.back_at > FORGIVEN_AFTER_S else health.times_out + 1
    return Health(
        out=True,
        reason=reason,
        until=now + min(FIRST_OUT_S * 2 ** (times_out - 1), LONGEST_OUT_S),
        times_out=times_out,
        back_at=health.back_at,
    )


def after_check(health: Health, now: float) -> Health:
    """Let a replica that answered a check back in, unless its time out is not over."""
    if not health.out:
        return health
    if now < health.until:
        return health if health.answers else replace(health, answers=True)
    return Health(times_out=health.times_out, back_at=now)
