"""What people may do to a release that is on its way: take it over at once, send it back, hold it where it is."""

from __future__ import annotations

from typing import Literal

from modelhall.control.declare import OUTCOMES, Outcome
from modelhall.control.idempotency import Once, Written, commit_once, unheard
from modelhall.core.errors import Conflict, NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.rollout import Progress
from modelhall.core.ports.store import Event, Put, Store, Write

Act = Literal["promote", "abort", "pause", "resume"]
CHANGES: dict[Act, Literal["promoting", "aborting", "pausing", "resuming"]] = {
    "promote": "promoting", "abort": "aborting", "pause": "pausing", "resume": "resuming",
}  # fmt: skip
"""What is told of each."""


async def steer(
    store: Store, key: Key, act: Act, *, now: float, once: Once | None = None, written: Written = unheard
) -> list[Outcome]:
    """Note in a service's status what somebody wants of its rollout; the loop does it. A release that was sent back
    can be promoted all the same. Raises NotFound, and Conflict when there is nothing to be done it to."""

    async def plan() -> tuple[list[Write], list[Outcome]]:
        found = await store.get(key)
        if found is None:
            raise NotFound(f"no {key}")
        progress = _steered(key, found.status.rollout, act)
        event = Event(at=now, key=key, name=f"rollout.{CHANGES[act]}", message="somebody asked for it")
        outcome = Outcome(kind=key.kind, project=key.project, name=key.name, change=CHANGES[act])
        return [Put(resource=found.with_status(rollout=progress)), event], [outcome]

    return await commit_once(store, plan, once=once, answers=OUTCOMES, now=now, written=written)


def _steered(key: Key, progress: Progress | None, act: Act) -> Progress:
    if progress is None:
        raise Conflict(
            f"no release of {key} is on its way; there is one when its model or its document changes"
        )
    if progress.state == "rolled-back" and act != "promote":
        raise Conflict(f"{key} has sent it back already: {progress.why}; only `promote` changes that")
    if act in ("promote", "abort"):
        return progress.model_copy(update={"wish": act})
    return progress.model_copy(update={"paused": act == "pause"})
