"""A canary: step by step a new release gets more of the requests, or is sent back. What is decided here is a function
of facts; whatever instant the hall is killed at, the next look goes on from what the status says.

What counts as worse is said in `policy/trial.py` and `policy/quality.py`; which request is for which release the
gateways find out by themselves (`policy/split.py`), from the share in the status.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from modelhall.control.actions import Note
from modelhall.control.traffic import Traffic
from modelhall.core.adapter_names import called
from modelhall.core.kinds import Key
from modelhall.core.kinds.rollout import Canary, Progress, Release
from modelhall.policy import trial


@dataclass(frozen=True, kw_only=True)
class Facts:
    canary: Canary
    target: Release
    """The release that is to replace the other."""
    served: Release
    ready: int
    """How many of the target's replicas answer."""
    count: int
    """How many there are to be in the end."""
    traffic: Traffic
    problem: str = ""
    """What keeps its replicas from coming up."""
    quality: str = ""
    """What it was measured to do worse."""


def go_on(before: Progress | None, facts: Facts, now: float) -> Progress:
    """Where the target is now. In state `full` all that is left is to wait for the rest of its replicas."""
    progress = _wished(_begun(before, facts))
    if progress.state == "rolled-back":
        return progress
    measured = facts.quality if progress.state == "starting" else ""
    if objection := facts.problem or measured:
        return _sent_back(progress, objection)
    if progress.state == "full":
        return progress
    if progress.share:
        progress, enough = _compared(progress, facts, now)
        if progress.state == "rolled-back":
            return progress
        if progress.state == "stepping" and enough and _is_over(progress, facts, now):
            progress = _next(progress, facts.canary)
    if progress.state == "starting" and facts.ready >= replicas_for(progress, facts.canary, facts.count):
        return _changed(
            progress, state="stepping", share=_share(progress, facts.canary), by=facts.canary.by, since=now,
            looks=0, look_at=facts.canary.requests,
        )  # fmt: skip
    return progress


def replicas_for(progress: Progress, canary: Canary, count: int) -> int:
    """How many of the target's replicas its step takes, of `count` in the end."""
    if progress.state == "rolled-back":
        return 0
    return count if progress.state == "full" else max(1, math.ceil(count * _share(progress, canary)))


def told(progress: Progress, canary: Canary, name: str) -> str:
    """Where it is, in words that stay the same while it is there."""
    what = label(name, progress)
    if progress.state == "rolled-back":
        return f"{what} was rolled back: {progress.why}"
    if progress.state == "full":
        return f"{what} has done well; the rest of its replicas is starting"
    step = f"step {progress.step + 1} of {len(canary.steps)}"
    if progress.state == "starting":
        return f"{what}: replicas for {step} are starting"
    return f"{what} gets {progress.share:.4g} of the requests, {step}" + (
        ", paused" if progress.paused else ""
    )


def label(name: str, release: Progress | Release) -> str:
    """What people call it: `digits@3`, or by its id where the number is not known; of one on its way also the
    adapters that are to be others."""
    beside = release.adapters.items() if isinstance(release, Progress) else ()
    others = (f", {called(name, adapter)}@{one.number or one.version[:12]}" for adapter, one in beside)
    return f"{name}@{release.number or release.version[:12]}" + "".join(others)


def notes(key: Key, before: Progress | None, after: Progress | None, *, took_over: bool) -> list[Note]:
    """What there is to tell of the last step."""
    if after is None:
        if before is None or before.state == "rolled-back":
            return []
        event, message = (
            ("finished", "serves all requests") if took_over else ("withdrawn", "is not asked for any more")
        )
        return [Note(key=key, name=f"rollout.{event}", message=f"{label(key.name, before)} {message}")]
    if before is not None and _place(before) == _place(after):
        return []
    what = label(key.name, after)
    message = {
        "starting": f"replicas for step {after.step + 1} of {what} are starting",
        "stepping": f"{what} gets {after.share:.4g} of the requests",
        "full": f"{what} is to get all requests",
        "rolled-back": f"{what} gets none: {after.why}",
    }[after.state]
    return [Note(key=key, name=f"rollout.{after.state}", message=message)]


def _place(progress: Progress) -> tuple[str, str, float]:
    return progress.release, progress.state, progress.share


def _begun(before: Progress | None, facts: Facts) -> Progress:
    target, served = facts.target, facts.served.adapters
    if before is not None and before.release == target.id:
        return before
    adapters = {name: one for name, one in target.adapters.items() if served.get(name) != one}
    return Progress(release=target.id, version=target.version, number=target.number, adapters=adapters)


def _wished(progress: Progress) -> Progress:
    """What somebody has asked for, done."""
    if progress.wish == "promote":
        return _changed(progress, state="full", wish="", why="", paused=False)
    if progress.wish == "abort":
        return _sent_back(progress, "somebody asked for it")
    return progress


def _compared(progress: Progress, facts: Facts, now: float) -> tuple[Progress, bool]:
    """The same after a look at what both have done, if it is time for one; and whether there is enough to go by."""
    new, old = (facts.traffic.tally(progress.trial, of.id) for of in (facts.target, facts.served))
    enough = min(new.requests, old.requests) >= facts.canary.requests
    if not enough or not (new.requests >= progress.look_at or _is_over(progress, facts, now)):
        return progress, enough
    look = progress.looks + 1
    if found := trial.worse(new, old, facts.canary, look):
        return _sent_back(progress, found), enough
    return _changed(progress, looks=look, look_at=2 * new.requests), enough


def _is_over(progress: Progress, facts: Facts, now: float) -> bool:
    """Whether nothing but the comparison keeps it from the next step."""
    # A clock that was set back must not make a step that never ends.
    since = min(progress.since, now)
    return progress.state == "stepping" and not progress.paused and now - since >= facts.canary.every_s


def _next(progress: Progress, canary: Canary) -> Progress:
    if progress.step + 1 >= len(canary.steps):
        return _changed(progress, state="full")
    return _changed(progress, state="starting", step=progress.step + 1)


def _share(progress: Progress, canary: Canary) -> float:
    return canary.steps[min(progress.step, len(canary.steps) - 1)]


def _sent_back(progress: Progress, why: str) -> Progress:
    return _changed(progress, state="rolled-back", share=0.0, wish="", why=why)


def _changed(progress: Progress, **fields: Any) -> Progress:
    return progress.model_copy(update=fields)
