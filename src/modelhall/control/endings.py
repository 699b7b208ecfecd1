"""How attempts ended on each node, as far as that says something of the node.

The loop hears of each ending as the store tells it, and the node's status keeps the newest. What was heard and not
kept yet goes with the loop: a figure of statistics, one of many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.node import Ending, NodeResource
from modelhall.core.kinds.run import Attempt, RunResource
from modelhall.core.program import AT_HOME

KEPT = 50
"""Of each node."""
WITHIN_S = 86_400.0
"""What is longer ago says nothing of now."""

Heard = Mapping[str, Sequence[Ending]]
"""By the names of nodes."""


class Endings:
    """What has been heard and is not kept yet."""

    def __init__(self) -> None:
        self._heard: dict[str, list[Ending]] = defaultdict(list)

    def hear(self, before: AnyResource | None, after: AnyResource | None) -> None:
        """Take in a change of a run."""
        if before is None or after is None:
            return
        were_open = {one.number for one in before.status.attempts if one.exit is None}
        for attempt in after.status.attempts:
            if attempt.number in were_open and (ending := _ending(after, attempt)) is not None:
                self._heard[attempt.node].append(ending)

    def take(self) -> Heard:
        """All that was heard; from now on it is the caller's."""
        heard, self._heard = self._heard, defaultdict(list)
        return heard


def kept(node: NodeResource, heard: Heard, now: float) -> tuple[Ending, ...]:
    """What a node's status is to keep, after what was heard."""
    since = max(node.status.trusted_at, now - WITHIN_S)
    its = (*node.status.endings, *heard.get(node.key.name, ()))
    # One of a time to come was written before the clock was set back.
    return tuple(one for one in its if since < one.at <= now)[-KEPT:]


def _ending(run: RunResource, attempt: Attempt) -> Ending | None:
    """How an attempt ended; None where it has not, or where that says nothing of its node."""
    exit, problem, stage = attempt.exit, run.status.problem, run.document.stage
    if exit is None:
        return None
    was_ended = exit.stopped or exit.timed_out or exit.out_of_memory or run.status.state == "cancelled"
    # Nothing of the sort runs elsewhere, so there is nothing to compare it with.
    at_home = stage is not None and stage.program in AT_HOME
    if was_ended or at_home or (problem is not None and problem.who == "caller"):
        return None
    return Ending(
        at=run.updated_at,
        run=run.key.path,
        cause=run.document.owner or Key("project", DEFAULT_PROJECT, run.key.project).path,
        failed=problem is not None,
        lost=exit.code is None and exit.signal is None,
    )
