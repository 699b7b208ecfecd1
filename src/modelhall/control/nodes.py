"""Nodes: what machines there are, as the launcher finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelhall.control.actions import Action, Create, Note, Update
from modelhall.control.view import View
from modelhall.core.kinds import Node
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.run import held_cpus
from modelhall.core.ports.launcher import NodeReport

LOST_AFTER_S = 10.0


def reconcile(
    view: View, reports: Sequence[NodeReport], silent_s: Mapping[str, float], now: float
) -> list[Action]:
    """Take in what the launcher reports; a node it has not reported for a while is lost. `silent_s` says for how
    long, by a clock that never jumps."""
    actions: list[Action] = []
    reported = {report.name: report for report in reports}
    known: dict[str, NodeResource] = {node.key.name: node for node in view.of_kind("node")}
    actions += [Create(document=Node(name=name)) for name in sorted(reported.keys() - known.keys())]
    for name, node in known.items():
        if name in reported and reported[name].ready:
            actions += _seen(node, reported[name], _used_cpus(view, name), now)
        elif node.status.state == "ready" and silent_s.get(name, 0.0) > LOST_AFTER_S:
            reason = f"not heard of for {silent_s[name]:.0f} s"
            actions.append(Update(resource=node.with_status(state="lost", reason=reason, used_cpus=0.0)))
            actions.append(Note(key=node.key, name="node.lost", message=reason))
    return actions


def standing(node: NodeResource | None) -> tuple[object, ...] | None:
    """All of a node that runs and the queue depend on; a beat does not change it."""
    if node is None:
        return None
    status = node.status
    there = (status.cpus, status.memory_bytes, status.gpus, status.gpu_type)
    return (status.state, there, node.document.labels)


def _seen(node: NodeResource, report: NodeReport, used_cpus: float, now: float) -> list[Action]:
    fresh = node.with_status(
        state="ready",
        reason="",
        cpus=report.cpus,
        memory_bytes=report.memory_bytes,
        processor=report.processor,
        gpus=report.gpus,
        gpu_type=report.gpu_type,
        used_cpus=used_cpus,
        last_seen_at=now,
    )
    same = fresh.with_status(last_seen_at=node.status.last_seen_at).status == node.status
    # A beat that says nothing new is written only as often as being lost has to be told.
    if same and 0 <= now - node.status.last_seen_at < LOST_AFTER_S / 2:
        return []
    notes = [] if node.status.state == "ready" else [Note(key=node.key, name="node.ready", message="ready")]
    return [Update(resource=fresh), *notes]


def _used_cpus(view: View, name: str) -> float:
    return sum((held_cpus(run) for run in view.active(name)), 0.0)
