"""What a service is to serve now: what it served before, what is declared, or some of both."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelhall.control import releases, rollout
from modelhall.control.service_facts import Facts
from modelhall.core.kinds import Run
from modelhall.core.kinds.rollout import Canary, Progress, Release
from modelhall.core.kinds.service import Replica, ServiceResource, asked_for
from modelhall.policy import quality


@dataclass(frozen=True, kw_only=True)
class Stand:
    """What a service is to serve now."""

    serving: Release
    target: Release
    wanted: dict[str, Run]
    """The replicas there should be, by name."""
    complete: bool
    """Whether the target is served, by all of its replicas."""
    rollout: Progress | None = None
    shadow: str | None = None
    """The release that gets copies."""


def stand_of(
    resource: ServiceResource, facts: Facts, target: Release, served: Release | None,
    replicas: tuple[Replica, ...], now: float,
) -> Stand:  # fmt: skip
    """Whether requests go to the target, or to what was served before, or to both; and what gets copies."""
    stand = _without_shadow(resource, facts, target, served, replicas, now)
    asked, shadow = resource.document.rollout.shadow, facts.shadow
    # What is asked anyway needs no copies.
    if asked is None or shadow is None or shadow.id in (stand.serving.id, target.id):
        return stand
    runs = releases.replica_runs(resource.document, shadow, asked.replicas)
    return replace(stand, wanted={**stand.wanted, **runs}, shadow=shadow.id)


def _without_shadow(
    resource: ServiceResource, facts: Facts, target: Release, served: Release | None,
    replicas: tuple[Replica, ...], now: float,
) -> Stand:  # fmt: skip
    document = resource.document
    count = asked_for(resource) + document.standby
    runs = releases.replica_runs(document, target, count)
    ready = {replica.run for replica in replicas if replica.state == "ready"}
    answers = served is not None and any(
        replica.run in ready for replica in replicas if replica.release == served.id
    )
    begun = resource.status.rollout is not None
    if served is not None and served.id != target.id and document.rollout.canary and (answers or begun):
        return _canary(resource, facts, target, served, ready, now)
    complete = runs.keys() <= ready
    serving = target if complete or served is None or not answers else served
    return Stand(serving=serving, target=target, wanted=runs, complete=complete)


def _canary(
    resource: ServiceResource, facts: Facts, target: Release, served: Release, ready: set[str], now: float
) -> Stand:
    document, canary = resource.document, resource.document.rollout.canary
    assert canary is not None
    assert facts.version is not None
    # A service that rests has nobody to compare with, so it does not rest meanwhile.
    count = max(1, asked_for(resource) + document.standby)
    runs = releases.replica_runs(document, target, count)
    problem = releases.problem_of([run for run in facts.runs if run.key.name in runs])
    known = rollout.Facts(
        canary=canary, target=target, served=served, ready=len(runs.keys() & ready), count=count,
        traffic=facts.traffic, problem=problem.message if problem else "", quality=_measured(facts, canary),
    )  # fmt: skip
    progress = rollout.go_on(resource.status.rollout, known, now)
    if progress.state == "full" and runs.keys() <= ready:
        return Stand(serving=target, target=target, wanted=runs, complete=True)
    some = releases.replica_runs(document, target, rollout.replicas_for(progress, canary, count))
    wanted = {**releases.replica_runs(document, served, count), **some}
    return Stand(serving=served, target=target, wanted=wanted, complete=False, rollout=progress)


def _measured(facts: Facts, canary: Canary) -> str:
    """What was measured to be worse of the version, or of an adapter beside it; empty when nothing was."""
    if canary.quality is None:
        return ""
    pairs = [("", facts.version, facts.served)]
    pairs += [(f"adapter {name}: ", one.version, one.served) for name, one in facts.adapters.items()]
    for of, new, old in pairs:
        if (
            new is not None
            and old is not None
            and (worse := quality.worse_measured(new, old, canary.quality))
        ):
            return of + worse
    return ""
