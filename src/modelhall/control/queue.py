"""The queue: put the facts before the scheduling policy, and turn its decisions into starts, stops and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from modelhall.control import gangs
from modelhall.control.actions import Action, Create, Note, Start, Update, update_status
from modelhall.control.runs import launch_of, said_of
from modelhall.control.shares import shares_of
from modelhall.control.view import View
from modelhall.core.kinds import Key, Resources
from modelhall.core.kinds.node import HOME, NodeResource
from modelhall.core.kinds.project import ProjectResource
from modelhall.core.kinds.run import ACTIVE, Attempt, Run, RunResource, held_bytes, held_cpus
from modelhall.core.program import AT_HOME
from modelhall.policy.deciding import Policy
from modelhall.policy.room import WHOLE
from modelhall.policy.schedule import (
    Asking,
    Facts,
    Held,
    Hold,
    Part,
    Placement,
    Preemption,
    Room,
    RunKey,
)

ATTEMPTS_KEPT = 20
"""How many earlier attempts of a run are remembered; a replica may have any number."""
MOST_REASONS = 200
"""Of so many who wait the reason is kept up to date; those behind are told that it is not their turn yet."""
NOT_YET = "waits for its turn"


def schedule(view: View, policy: Policy, now: float) -> list[Action]:
    """Decide on every queued run."""
    queued = {run_key(run): run for run in view.queued() if waits_for_room(run)}
    if not queued:
        return []
    active = {run_key(run): run for run in view.active()}
    facts = facts_of(
        view.of_kind("node"), list(queued.values()), list(active.values()), view.of_kind("project"), now
    )
    actions: list[Action] = []
    told = 0
    for decision in policy(facts):
        match decision:
            case Placement():
                actions += _start(queued[decision.key], decision, now)
            case Preemption():
                actions += _make_room(active[decision.key], decision)
            case Hold():
                told += 1
                reason = decision.reason if decision.never or told <= MOST_REASONS else NOT_YET
                actions += update_status(queued[decision.key], reason=_said(queued[decision.key], reason))
    return actions


def facts_of(
    nodes: Iterable[NodeResource],
    queued: Sequence[RunResource],
    active: Sequence[RunResource],
    projects: Iterable[ProjectResource],
    now: float,
) -> Facts:
    """All a policy goes by, of what the store holds."""
    there = list(nodes)
    ready = [node for node in there if node.status.state == "ready"]
    home = frozenset(node.key.name for node in there if node.status.launcher == HOME)
    return Facts(
        now=now,
        queue=[_asking(run, home) for run in queued],
        nodes=[room_of(node, active) for node in ready],
        projects=shares_of(projects, [*queued, *active], ready, now),
        held=[_held(gang, home) for gang in _gangs(active)],
    )


def standing(run: RunResource | None) -> tuple[object, ...] | None:
    """All of a run that a decision on the queue may depend on; when it changes, the queue is decided on anew."""
    if run is None:
        return None
    holds = run.status.state in ACTIVE
    return (holds and run.status.node, waits_for_room(run) and run.document)


def run_key(run: RunResource) -> RunKey:
    return RunKey(run.key.project, run.key.name)


def _asking(run: RunResource, home: frozenset[str]) -> Asking:
    """What a run asks for, as policies see it; some can run on the nodes alone that are the hall's `home`."""
    document, asked = run.document, run.document.resources
    is_at_home = document.stage is not None and document.stage.program in AT_HOME
    trains = document.stage is not None and document.stage.program == "train"
    return Asking(
        name=run.key.name,
        project=run.key.project,
        **size_of(asked),
        only_on=home if is_at_home else None,
        spans=trains,
        serves=document.restart,
        of=document.owner or "" if document.restart else "",
        priority=document.priority,
        since=run.created_at,
        expected_s=asked.expected_s,
        deadline=document.deadline.timestamp() if document.deadline else None,
        preemptible=asked.preemptible,
    )


def size_of(asked: Resources) -> dict[str, Any]:
    """What resources ask for as far as it decides where there is room, in the words of policies."""
    return {
        "cpus": asked.cpus,
        "memory_bytes": asked.memory_bytes,
        "gpus": asked.gpus,
        "gpu_type": asked.gpu_type,
        "labels": tuple(sorted(asked.nodes.items())),
        "workers": asked.workers.max,
        "fewest_workers": asked.workers.min,
        "pack": asked.pack,
        "spread": asked.spread,
    }


def _said(run: RunResource, reason: str) -> str:
    """Why a run waits, in words."""
    if not gangs.is_lender(run.document):
        return reason
    return f"{gangs.said_of(run.document, run.document.resources.workers.max)} once there is room: {reason}"


def waits_for_room(run: RunResource) -> bool:
    """Whether a policy decides on it."""
    return bool(run.status.state == "queued" and not run.deleting and not run.document.cancelled)


def _start(run: RunResource, placement: Placement, now: float) -> list[Action]:
    """Start a run on the first of its nodes, and have workers on the others lent to it."""
    first, *others = placement.parts
    attempt = Attempt(
        number=run.status.attempt + 1,
        node=first.node,
        started_at=now,
        workers=first.workers,
        lent=sum(part.workers for part in others),
        gpus=first.gpus,
    )
    started = run.with_status(
        **_placed(run.document, attempt),
        attempts=(*run.status.attempts[-ATTEMPTS_KEPT:], attempt),
        address=None,
        yields_to=None,
    )
    actions: list[Action] = [Update(resource=started), _started(run.document, attempt)]
    for number, part in enumerate(others):
        actions += _lend(started, number, part, now)
    # Whoever lends workers is started once it is known where they are to go (`runs`).
    return actions if gangs.is_lender(run.document) else [*actions, Start(launch=launch_of(started))]


def _lend(training: RunResource, number: int, part: Part, now: float) -> list[Action]:
    document = gangs.lender(training, number, part.workers)
    attempt = Attempt(number=1, node=part.node, started_at=now, workers=part.workers, gpus=part.gpus)
    status = {**_placed(document, attempt), "attempts": (attempt,)}
    return [Create(document=document, status=status), _started(document, attempt)]


def _placed(document: Run, attempt: Attempt) -> dict[str, object]:
    """What the status of a run says from now on."""
    return {
        "state": "starting",
        "reason": said_of(document, attempt),
        "attempt": attempt.number,
        "node": attempt.node,
    }


def _started(document: Run, attempt: Attempt) -> Note:
    return Note(key=document.key, name="run.started", message=said_of(document, attempt))


def _make_room(run: RunResource, preemption: Preemption) -> list[Action]:
    """Have a run leave; its own reconciler stops it, with a grace for its checkpoint."""
    by = preemption.by.name if preemption.by.project == run.key.project else "/".join(preemption.by)
    note = Note(key=run.key, name="run.makes-room", message=f"makes room for run {by}")
    return [*update_status(run, yields_to=by), note]


def _gangs(active: Sequence[RunResource]) -> list[list[RunResource]]:
    """The runs that are placed, each with those that lend it workers behind it: they are one for a policy."""
    find = {run.key: run for run in active}.get
    found: dict[Key, list[RunResource]] = {}
    lent: list[tuple[Key, RunResource]] = []
    for run in active:
        leader = gangs.leader_of(run, find) if gangs.is_lender(run.document) else None
        if leader is None:
            found[run.key] = [run]
        else:
            lent.append((leader.key, run))
    for key, run in lent:
        found[key].append(run)
    return list(found.values())


def _held(gang: Sequence[RunResource], home: frozenset[str]) -> Held:
    run = gang[0]
    attempt, left_s = run.status.attempts[-1], run.status.progress.left_s if run.status.progress else None
    ends_at = None
    if left_s is not None:
        ends_at = run.updated_at + left_s
    elif run.document.resources.expected_s is not None:
        ends_at = attempt.started_at + run.document.resources.expected_s
    return Held(
        asking=_asking(run, home),
        parts=_parts(gang),
        started_at=attempt.started_at,
        ends_at=ends_at,
        leaving=run.status.yields_to is not None or run.deleting or run.document.cancelled,
    )


def _parts(gang: Sequence[RunResource]) -> tuple[Part, ...]:
    """What a gang holds, node by node."""
    found: dict[str, Part] = {}
    for run in gang:
        attempt = run.status.attempts[-1]
        before = found.get(attempt.node, Part(attempt.node, 0))
        found[attempt.node] = Part(
            attempt.node, before.workers + attempt.workers, (*before.gpus, *attempt.gpus)
        )
    return tuple(found.values())


def room_of(node: NodeResource, active: Sequence[RunResource] = ()) -> Room:
    """A node, and what these runs leave of it."""
    here = [run for run in active if run.status.node == node.key.name]
    return Room(
        name=node.key.name,
        cpus=node.status.cpus,
        memory_bytes=node.status.memory_bytes,
        gpus=node.status.gpus,
        gpu_type=node.status.gpu_type,
        labels=node.document.labels,
        free_cpus=node.status.cpus - sum(held_cpus(run) for run in here),
        free_memory_bytes=node.status.memory_bytes - sum(held_bytes(run) for run in here),
        free_gpus=_free_gpus(node, here),
        holders=tuple(run.key.name for run in here if run.document.resources.cpus),
    )


def _free_gpus(node: NodeResource, here: Iterable[RunResource]) -> tuple[float, ...]:
    free = [WHOLE] * node.status.gpus
    for number, milli in (gpu for run in here for gpu in run.status.attempts[-1].gpus):
        # A node that is back may have fewer than before.
        if number < len(free):
            free[number] -= milli
    return tuple(max(0, milli) / WHOLE for milli in free)
