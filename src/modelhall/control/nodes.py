"""Nodes: what machines there are, as their launchers find them, and which of them are used, as people say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from modelhall.control.actions import Action, Create, Note, Update
from modelhall.control.view import View
from modelhall.core.kinds import Node
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.run import RunResource, held_cpus
from modelhall.core.ports.launcher import NodeReport

LOST_AFTER_S = 10.0


def reconcile(
    view: View, reports: Sequence[NodeReport], silent_s: Mapping[str, float], now: float
) -> list[Action]:
    """Take in what the launchers report; a node that none has reported for a while is lost. `silent_s` says for how
    long, by a clock that never jumps."""
    actions: list[Action] = []
    reported = {report.name: report for report in reports}
    known: dict[str, NodeResource] = {node.key.name: node for node in view.of_kind("node")}
    actions += [Create(document=Node(name=name)) for name in sorted(reported.keys() - known.keys())]
    for name, node in known.items():
        if name in reported and reported[name].ready:
            actions += _seen(node, reported[name], view.active(name), now)
        elif node.status.is_heard and silent_s.get(name, 0.0) > LOST_AFTER_S:
            # A launcher that is heard and says itself that the node is away knows better than the silence.
            told = reported[name].unfit if name in reported else ""
            reason = told or f"not heard of for {silent_s[name]:.0f} s"
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


class _Stand(NamedTuple):
    state: str
    reason: str


def _seen(node: NodeResource, report: NodeReport, runs: Sequence[RunResource], now: float) -> list[Action]:
    stand = _stand(node, report, busy=bool(runs), now=now)
    fresh = node.with_status(
        state=stand.state,
        reason=stand.reason,
        launcher=report.launcher,
        cpus=report.cpus,
        memory_bytes=report.memory_bytes,
        processor=report.processor,
        gpus=report.gpus,
        gpu_type=report.gpu_type,
        used_cpus=sum((held_cpus(run) for run in runs), 0.0),
        last_seen_at=now,
    )
    same = fresh.with_status(last_seen_at=node.status.last_seen_at).status == node.status
    # A beat that says nothing new is written only as often as being lost has to be told.
    if same and 0 <= now - node.status.last_seen_at < LOST_AFTER_S / 2:
        return []
    if node.status.state == stand.state:
        return [Update(resource=fresh)]
    note = Note(key=node.key, name=f"node.{stand.state}", message=stand.reason or stand.state)
    return [Update(resource=fresh), note]


def _stand(node: NodeResource, report: NodeReport, *, busy: bool, now: float) -> _Stand:
    """Whether a node that is heard of is used."""
    document = node.document
    window = next((one for one in document.windows if one.starts_at <= now < one.ends_at), None)
    if document.drained or window is not None:
        reason = window.reason if window is not None else "somebody asked for it"
        return _Stand("draining" if busy else "drained", reason)
    if report.unfit:
        return _Stand("quarantined", report.unfit)
    if document.cordoned:
        return _Stand("cordoned", "somebody asked for it")
    return _Stand("ready", "")
