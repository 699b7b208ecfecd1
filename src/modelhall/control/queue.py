"""The queue: put the facts before the scheduling policy, and turn its decisions into starts and reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from modelhall.control.actions import Action, Note, Start, Update, update_status
from modelhall.control.runs import launch_of, said_of
from modelhall.control.view import View
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.node import HOME, NodeResource
from modelhall.core.kinds.run import ACTIVE, Attempt, RunResource, held_bytes, held_cpus
from modelhall.core.program import AT_HOME
from modelhall.policy.schedule import Asking, Hold, Placement, Room, Share

ATTEMPTS_KEPT = 20
"""How many earlier attempts of a run are remembered; a replica may have any number."""

Policy = Callable[[Sequence[Asking], Sequence[Room], Mapping[str, Share]], list[Placement | Hold]]


def schedule(view: View, policy: Policy, now: float) -> list[Action]:
    """Decide on every queued run."""
    queued = {(run.key.project, run.key.name): run for run in view.queued() if _waits_for_room(run)}
    if not queued:
        return []
    active = view.active()
    nodes: list[NodeResource] = view.of_kind("node")
    rooms = [_room(node, active) for node in nodes if node.status.state == "ready"]
    home = frozenset(node.key.name for node in nodes if node.status.launcher == HOME)
    asking = [_asking(run, home) for run in queued.values()]
    actions: list[Action] = []
    for decision in policy(asking, rooms, _shares(view, [*queued.values(), *active])):
        run = queued[decision.project, decision.run]
        if isinstance(decision, Placement):
            actions += _start(run, decision, now)
        else:
            actions += update_status(run, reason=decision.reason)
    return actions


def standing(run: RunResource | None) -> tuple[object, ...] | None:
    """All of a run that a decision on the queue may depend on; when it changes, the queue is decided on anew."""
    if run is None:
        return None
    holds = run.status.state in ACTIVE
    return (holds and run.status.node, _waits_for_room(run) and run.document)


def _waits_for_room(run: RunResource) -> bool:
    return bool(run.status.state == "queued" and not run.deleting and not run.document.cancelled)


def _start(run: RunResource, placement: Placement, now: float) -> list[Action]:
    number, node = run.status.attempt + 1, placement.node
    attempt = Attempt(number=number, node=node, started_at=now, workers=placement.workers)
    where = said_of(attempt)
    started = run.with_status(
        state="starting",
        reason=where,
        attempt=number,
        attempts=(*run.status.attempts[-ATTEMPTS_KEPT:], attempt),
        node=node,
        address=None,
    )
    note = Note(key=run.key, name="run.started", message=where)
    return [Update(resource=started), note, Start(launch=launch_of(started))]


def _asking(run: RunResource, home: frozenset[str]) -> Asking:
    stage = run.document.stage
    return Asking(
        name=run.key.name,
        project=run.key.project,
        cpus=run.document.resources.cpus,
        memory_bytes=run.document.resources.memory_bytes,
        workers=run.document.resources.workers.max,
        fewest_workers=run.document.resources.workers.min,
        serves=run.document.restart,
        priority=run.document.priority,
        since=run.created_at,
        only_on=home if stage is not None and stage.program in AT_HOME else None,
    )


def _room(node: NodeResource, active: list[RunResource]) -> Room:
    here = [run for run in active if run.status.node == node.key.name]
    return Room(
        name=node.key.name,
        cpus=node.status.cpus,
        memory_bytes=node.status.memory_bytes,
        free_cpus=node.status.cpus - sum(held_cpus(run) for run in here),
        free_memory_bytes=node.status.memory_bytes - sum(held_bytes(run) for run in here),
        holders=tuple(run.key.name for run in here if run.document.resources.cpus),
    )


def _shares(view: View, runs: list[RunResource]) -> dict[str, Share]:
    used: dict[str, float] = {run.key.project: 0.0 for run in runs}
    for run in runs:
        if run.status.state in ACTIVE:
            used[run.key.project] += held_cpus(run)
    shares = {}
    for name, cpus in used.items():
        project = view.get(Key("project", DEFAULT_PROJECT, name))
        shares[name] = Share(used_cpus=cpus, most_cpus=project.document.quota.cpus if project else None)
    return shares
