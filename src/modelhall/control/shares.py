"""Shares: what each project holds, has used lately and may hold.

What was used lately is kept in the project's status, and brought up to date every minute while it changes. A project
that nobody declared, such as `default` in a small hall, has no status: it counts by what it holds now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelhall.control.actions import Action, Update
from modelhall.control.view import View
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.project import ProjectResource
from modelhall.core.kinds.run import ACTIVE, RunResource, held_bytes, held_cpus, held_gpus
from modelhall.policy.schedule import Share
from modelhall.policy.standing.tenants import decayed

EVERY_S = 60.0
NOTHING = 1e-4
"""A share that is not worth a write."""


def shares_of(
    projects: Iterable[ProjectResource],
    runs: Iterable[RunResource],
    nodes: Sequence[NodeResource],
    now: float,
) -> dict[str, Share]:
    """The share of every project that is declared or has one of these runs."""
    declared = {project.key.name: project for project in projects if project.key.project == DEFAULT_PROJECT}
    by_project: dict[str, list[RunResource]] = {name: [] for name in declared}
    for run in runs:
        by_project.setdefault(run.key.project, [])
        if run.status.state in ACTIVE:
            by_project[run.key.project].append(run)
    return {
        name: _share(declared.get(name), active, nodes, now) for name, active in sorted(by_project.items())
    }


def reconcile(view: View, now: float) -> list[Action]:
    """Write down what projects have used, where it is time to and there is anything to be written."""
    nodes = [node for node in view.of_kind("node") if node.status.state == "ready"]
    active, actions = view.active(), list[Action]()
    for project in view.of_kind("project"):
        if 0 <= now - project.status.use_at < EVERY_S:
            continue
        mine = [run for run in active if run.key.project == project.key.name]
        if mine or project.status.use > NOTHING:
            use = _use(project, _dominant(mine, nodes), now)
            actions.append(Update(resource=project.with_status(use=use, use_at=now)))
    return actions


def _share(
    project: ProjectResource | None, active: Sequence[RunResource], nodes: Sequence[NodeResource], now: float
) -> Share:
    document = project.document if project is not None else None
    return Share(
        used_cpus=sum((held_cpus(run) for run in active), 0.0),
        used_memory_bytes=sum(held_bytes(run) for run in active),
        used_gpus=sum((held_gpus(run) for run in active), 0.0),
        most_cpus=document.quota.cpus if document else None,
        most_gpus=document.quota.gpus if document else None,
        borrows=document.quota.borrow if document else False,
        weight=document.weight if document else 1.0,
        use=_use(project, _dominant(active, nodes), now) if project else 0.0,
    )


def _use(project: ProjectResource, held: float, now: float) -> float:
    status = project.status
    passed_s = now - status.use_at if status.use_at else 0.0
    return decayed(status.use, held, passed_s)


def _dominant(active: Sequence[RunResource], nodes: Sequence[NodeResource]) -> float:
    """The largest of the shares of what there is that these runs hold."""
    held = (
        sum(held_cpus(run) for run in active),
        sum(held_bytes(run) for run in active),
        sum(held_gpus(run) for run in active),
    )
    there = (
        sum(node.status.cpus for node in nodes),
        sum(node.status.memory_bytes for node in nodes),
        sum(node.status.gpus for node in nodes),
    )
    return max((mine / whole for mine, whole in zip(held, there, strict=True) if whole), default=0.0)
