"""Which nodes are to blame for what failed on them.

Attempts fail by their own fault, by their node's, or by chance. A node is blamed when all of this is so:

- several runs failed on it, for several causes: one user's broken program fails wherever it is started;
- none of these causes failed anywhere else;
- the share of attempts that failed on it is above that on all others together, by more than chance explains: the
  lower end of one confidence interval lies above the upper end of the other. A node that is alone has nobody to be
  compared with, and the share elsewhere is not known until enough has ended there.

Intervals are Wilson's (E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of
the American Statistical Association 22, 1927), which hold for few attempts, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from modelhall.core.kinds.node import Ending

LEAST_RUNS = LEAST_CAUSES = 3
Z = 2.576
"""Of a normal distribution, 99 % lies within so many standard deviations of its mean."""
AT_ONCE_S = 60.0
"""Attempts that are lost within so long are lost with their machine, which happened once."""
MOST_SHARE = 0.5
"""Of all nodes, at most so many are blamed: what fails everywhere is no node's fault."""

NodeEndings = Mapping[str, Sequence[Ending]]
"""By the names of nodes."""


class Blame(NamedTuple):
    node: str
    reason: str


def blamed(endings: NodeEndings, already: NodeEndings) -> list[Blame]:
    """The nodes that are to blame, of those whose endings, oldest first, are given. `already` are blamed: they say
    nothing of how often attempts fail on a node that is well, but what failed there, too, is no node's fault."""
    suspects = [node for node in sorted(endings) if sum(one.failed for one in endings[node]) >= LEAST_RUNS]
    room = int((len(endings) + len(already)) * MOST_SHARE) - len(already)
    if not suspects or room <= 0:
        return []
    incidents = {node: _incidents(its) for node, its in endings.items()}
    failing_on = _failing_on({**already, **incidents})
    whole = _share(one for its in incidents.values() for one in its)
    found = [
        case for node in suspects if (case := _case(node, incidents[node], failing_on, whole)) is not None
    ]
    found.sort(key=lambda case: -case.own.low)
    return [Blame(case.node, case.reason) for case in found[:room]]


class _Share(NamedTuple):
    failed: int
    ended: int

    @property
    def low(self) -> float:
        return max(0.0, self._middle - self._half)

    @property
    def high(self) -> float:
        return min(1.0, self._middle + self._half)

    @property
    def _middle(self) -> float:
        return (self.failed + Z * Z / 2) / (self.ended + Z * Z)

    @property
    def _half(self) -> float:
        failed, ended = self.failed, self.ended
        spread = failed * (ended - failed) / ended if ended else 0.0
        return Z / (ended + Z * Z) * sqrt(spread + Z * Z / 4)


class _Case(NamedTuple):
    node: str
    own: _Share
    reason: str


def _failing_on(endings: NodeEndings) -> dict[str, set[str]]:
    """The nodes on which each cause failed."""
    found: dict[str, set[str]] = defaultdict(set)
    for node, its in endings.items():
        for one in its:
            if one.failed:
                found[one.cause].add(node)
    return found


def _share(endings: Iterable[Ending]) -> _Share:
    outcomes = [one.failed for one in endings]
    return _Share(sum(outcomes), len(outcomes))


def _case(
    node: str, here: Sequence[Ending], failing_on: Mapping[str, set[str]], whole: _Share
) -> _Case | None:
    """What speaks against a node, if it is enough."""
    all_own = _share(here)
    others = _Share(whole.failed - all_own.failed, whole.ended - all_own.ended)
    failed = [one for one in here if one.failed and len(failing_on[one.cause]) == 1]
    runs, causes = {one.run for one in failed}, {one.cause for one in failed}
    own = _Share(len(failed), len(here))
    if len(runs) < LEAST_RUNS or len(causes) < LEAST_CAUSES or own.low <= others.high:
        return None
    reason = (
        f"{own.failed} of its last {own.ended} attempts failed by no fault of their own, those of {len(runs)} runs "
        f"among them, the last one {failed[-1].run}; elsewhere {others.failed} of {others.ended} did"
    )
    return _Case(node, own, reason)


def _incidents(endings: Sequence[Ending]) -> list[Ending]:
    """The endings, but of those that were lost together one alone."""
    found: list[Ending] = []
    lost_at: float | None = None
    for one in endings:
        if one.lost and lost_at is not None and 0 <= one.at - lost_at < AT_ONCE_S:
            continue
        lost_at = one.at if one.lost else lost_at
        found.append(one)
    return found
