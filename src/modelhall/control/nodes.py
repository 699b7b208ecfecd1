"""Nodes: what machines there are, as the launcher finds them."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.control.actions import Action, Create, Note, Update
from modelhall.control.view import View
from modelhall.core.kinds import Key, Node
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.ports.launcher import NodeReport

LOST_AFTER_S = 10.0


def reconcile(view: View, reports: Sequence[NodeReport], now: float) -> list[Action]:
    """Take in what the launcher reports; a node it has not reported for a while is lost."""
    actions: list[Action] = []
    reported = {report.name: report for report in reports}
    known: dict[str, NodeResource] = {node.key.name: node for node in view.of_kind("node")}
    actions += [Create(document=Node(name=name)) for name in sorted(reported.keys() - known.keys())]
    for name, node in known.items():
        used = _used_cpus(view, name)
        if name in reported and reported[name].ready:
            actions += _seen(node, reported[name], used, now)
        elif node.status.state == "ready" and now - node.status.last_seen_at > LOST_AFTER_S:
            reason = f"not heard of for {now - node.status.last_seen_at:.0f} s"
            actions.append(Update(resource=node.with_status(state="lost", reason=reason, used_cpus=0.0)))
            actions.append(Note(key=node.key, name="node.lost", message=reason))
    return actions


def concerned(view: View, node: Key) -> list[Key]:
    """The runs that have to look again when this node changes."""
    return [
        run.key for run in view.of_kind("run") if run.status.node == node.name and run.status.state in ACTIVE
    ]


def _seen(node: NodeResource, report: NodeReport, used_cpus: float, now: float) -> list[Action]:
    fresh = node.with_status(
        state="ready",
        reason="",
        cpus=report.cpus,
        memory_bytes=report.memory_bytes,
        processor=report.processor,
        used_cpus=used_cpus,
        last_seen_at=now,
    )
    same = fresh.with_status(last_seen_at=node.status.last_seen_at).status == node.status
    # A beat that says nothing new is written only as often as being lost has to be told.
    if same and now - node.status.last_seen_at < LOST_AFTER_S / 2:
        return []
    notes = [] if node.status.state == "ready" else [Note(key=node.key, name="node.ready", message="ready")]
    return [Update(resource=fresh), *notes]


def _used_cpus(view: View, name: str) -> float:
    runs = (run for run in view.of_kind("run") if run.status.node == name and run.status.state in ACTIVE)
    return sum((run.document.resources.cpus for run in runs), 0.0)
