"""Services: keep the asked-for number of replicas of the right release answering.

A new release's replicas start beside the old ones; requests move when all of them are ready, or step by step where
the service has a canary (`rollout.py`), and only then are the old ones stopped. A release that does not come up
leaves the old one serving, and so does a version that has yet to be converted for the engine (`conversion.py`).
"""

from __future__ import annotations

from modelhall.control import conversion, draining, releases, rollout, work
from modelhall.control.actions import Action, Create, Note, Wake, update_status
from modelhall.control.scaling import scaled
from modelhall.control.service_facts import Facts
from modelhall.control.stand import Stand, stand_of
from modelhall.core.adapter_names import called
from modelhall.core.kinds import Problem
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.rollout import Release
from modelhall.core.kinds.run import RunResource
from modelhall.core.kinds.scaling import Scale
from modelhall.core.kinds.service import Replica, ServiceResource, asked_for

LOOK_AGAIN_S = 1.0
"""While something comes to its end by what gateways say."""
WAS_UP = ("ready", "rolling", "refused", "degraded")


def reconcile(resource: ServiceResource, facts: Facts, now: float) -> list[Action]:
    """Start, switch to and stop replicas, one step at a time."""
    replicas = tuple(releases.replica_of(run, facts.numbers) for run in facts.runs)
    if facts.version is None:
        return update_status(resource, state="waiting", reason=facts.waits, replicas=replicas, problem=None)
    converting = _convert(resource, facts)
    served = releases.serving(resource, facts.runs)
    target = _declared(resource, facts, facts.version) or served
    if target is None:
        return [*converting, *_wait(resource, facts, replicas)]
    ready = sum(replica.state == "ready" for replica in replicas if served and replica.release == served.id)
    scale = scaled(resource, facts.traffic, ready, now)
    resource_now = resource.with_status(scale=scale)
    stand = stand_of(resource_now, facts, target, served, replicas, now)
    going, needless = _going(resource, facts, stand, replicas, now)
    there = {run.document.name for run in facts.runs if not run.deleting}
    replicas = tuple(going.get(replica.run, replica) for replica in replicas)
    return [
        *converting,
        *(Create(document=run) for name, run in stand.wanted.items() if name not in there),
        *work.remove_all(needless),
        *_report(resource, facts, stand, replicas, scale),
        *_look_again(resource, stand, going, scale, now),
    ]


def _declared(resource: ServiceResource, facts: Facts, version: ModelVersion) -> Release | None:
    """What is to be served; None as long as the engine could not load it."""
    converted = facts.converting.made if facts.converting is not None else None
    if facts.converting is not None and converted is None:
        return None
    number = facts.numbers.get(version.id)
    adapters = {name: one.order for name, one in facts.adapters.items()}
    return releases.release_of(resource.document, version, number, facts.public_key, converted, adapters)


def _convert(resource: ServiceResource, facts: Facts) -> list[Action]:
    """Have converted what is not yet, and what nobody waits for any more be."""
    wanted = [one for one in (facts.converting, facts.shadow_converting) if one is not None]
    actions = work.remove_others(facts.others, {step.key for one in wanted for step in one.works})
    for one in wanted:
        if one.made is None:
            actions += conversion.start(resource.key, one, resource.document.resources)
    return actions


def _wait(resource: ServiceResource, facts: Facts, replicas: tuple[Replica, ...]) -> list[Action]:
    """Say what the first release is waited for."""
    assert facts.converting is not None
    said, problem = facts.converting.progress()
    state = "failed" if problem is not None else "waiting"
    return update_status(resource, state=state, reason=said, replicas=replicas, problem=problem)


def _going(
    resource: ServiceResource, facts: Facts, stand: Stand, replicas: tuple[Replica, ...], now: float
) -> tuple[dict[str, Replica], list[RunResource]]:  # fmt: skip
    """The replicas that are to go and end what they are at, by name, and the runs that nothing keeps any more."""
    kept = stand.serving.id if not stand.complete and stand.rollout is None else None
    by_run = {replica.run: replica for replica in replicas}
    going, needless = {}, []
    for run in facts.runs:
        replica = by_run.get(run.document.name)
        if run.document.name in stand.wanted or (replica is not None and replica.release == kept):
            continue
        left = draining.drained(resource, replica, facts.traffic, now) if replica is not None else None
        if left is None:
            needless.append(run)
        else:
            going[left.run] = left
    return going, needless


def _report(
    resource: ServiceResource, facts: Facts, stand: Stand, replicas: tuple[Replica, ...], scale: Scale | None
) -> list[Action]:
    serving, before = stand.serving, resource.status
    state, reason, problem = _told(resource.with_status(scale=scale), facts, stand, replicas)
    notes = []
    if serving.version != before.version:
        message = f"serves version {serving.version[:8]}"
        notes.append(Note(key=resource.key, name="service.version", message=message))
    for name, one in serving.adapters.items():
        if before.adapters.get(name) != one:
            message = f"serves version {one.version[:8]} of {one.model} as {called(resource.key.name, name)}"
            notes.append(Note(key=resource.key, name="service.version", message=message))
    if state != before.state:
        notes.append(Note(key=resource.key, name=f"service.{state}", message=reason))
    if scale is not None and (before.scale is None or scale.count != before.scale.count):
        message = f"{scale.count} replicas are needed"
        notes.append(Note(key=resource.key, name="service.scaled", message=message))
    took_over = before.rollout is not None and before.rollout.release == serving.id
    notes += rollout.notes(resource.key, before.rollout, stand.rollout, took_over=took_over)
    update = update_status(
        resource, state=state, reason=reason, version=serving.version, release=serving, rollout=stand.rollout,
        shadow=stand.shadow, scale=scale, replicas=replicas, problem=problem,
    )  # fmt: skip
    return [*update, *notes]


def _told(
    resource: ServiceResource, facts: Facts, stand: Stand, replicas: tuple[Replica, ...]
) -> tuple[str, str, Problem | None]:
    """State, reason and problem."""
    serving, document = stand.serving, resource.document
    asked = asked_for(resource) + document.standby
    ready = sum(replica.state == "ready" and replica.release == serving.id for replica in replicas)
    reason = f"{ready} of {asked} replicas ready, version {serving.version[:8]}"
    if stand.rollout is not None:
        assert document.rollout.canary is not None
        said = rollout.told(stand.rollout, document.rollout.canary, document.name)
        if stand.rollout.state != "rolled-back":
            return "rolling", f"{reason}; {said}", None
        return "refused", f"{reason}; {said}", Problem(message=said, who="caller")
    said, problem = "", None
    if facts.converting is not None and facts.converting.made is None:
        said, problem = facts.converting.progress()
        reason += f"; {said}"
    elif serving.version != stand.target.version:
        reason += f"; {stand.target.version[:8]} is starting"
    elif not stand.complete and ready >= asked:
        reason += "; those that are to replace them are starting"
    if stand.complete and not said:
        lacking = "".join(f"; adapter {name}: {why}" for name, why in facts.lacking.items())
        return "waiting" if lacking else "ready", reason + lacking, None
    state = "degraded" if ready and resource.status.state in WAS_UP else "starting"
    if problem is not None:
        return "degraded" if ready else "failed", reason, problem
    problem = releases.problem_of(facts.runs)
    if problem is not None:
        state, reason = "degraded" if ready else "failed", f"{reason}: {problem.message}"
    return state, reason, problem


def _look_again(
    resource: ServiceResource, stand: Stand, going: dict[str, Replica], scale: Scale | None, now: float
) -> list[Action]:
    """An alarm for what happens by the passing of time alone."""
    ends = [now + LOOK_AGAIN_S] if going else []
    canary, progress = resource.document.rollout.canary, stand.rollout
    if canary is not None and progress is not None and progress.state == "stepping":
        ends.append(progress.since + canary.every_s)
    if scale is not None and scale.lull is not None and resource.document.scaling is not None:
        ends.append(scale.lull.since + resource.document.scaling.cool_down_s)
    ahead = [end - now for end in ends if end > now]
    return [Wake(key=resource.key, after_s=min(ahead))] if ahead else []
