"""Nodes: what machines there are, as their launchers find them, and which of them are used: as people say, unless
they cannot be what they say or are to blame for what fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from modelhall.control.actions import Action, Create, Note, Update
from modelhall.control.endings import Heard, kept
from modelhall.control.view import View
from modelhall.core.kinds import Node
from modelhall.core.kinds.node import NodeResource
from modelhall.core.kinds.run import RunResource, held_cpus
from modelhall.core.ports.launcher import NodeReport
from modelhall.policy import blame
from modelhall.policy.plausible import doubt

LOST_AFTER_S = 10.0


def reconcile(
    view: View, reports: Sequence[NodeReport], silent_s: Mapping[str, float], heard: Heard, now: float
) -> list[Action]:
    """Take in what the launchers report; a node that none has reported for a while is lost, and so is at once one
    that its launcher knows to be gone. `silent_s` says for how long, by a clock that never jumps; `heard` how
    attempts ended since the last time."""
    actions: list[Action] = []
    reported = {report.name: report for report in reports}
    known: dict[str, NodeResource] = {node.key.name: node for node in view.of_kind("node")}
    actions += [Create(document=Node(name=name)) for name in sorted(reported.keys() - known.keys())]
    blamed = _blamed(known, heard, now)
    for name, found in known.items():
        node = found.with_status(**_record(found, heard, blamed, now))
        report = reported.get(name)
        if report is not None and report.ready:
            actions += _seen(found, node, report, view.active(name), now)
        elif reason := _why_lost(node, report, silent_s.get(name, 0.0)):
            actions.append(Update(resource=node.with_status(state="lost", reason=reason, used_cpus=0.0)))
            actions.append(Note(key=node.key, name="node.lost", message=reason))
        elif node.status != found.status:
            actions.append(Update(resource=node))
    return actions


def trusted(node: NodeResource, now: float) -> NodeResource:
    """The node as somebody has it used again: nothing that was before is held against it."""
    return node.with_status(blamed="", endings=(), trusted_at=now)


def _why_lost(node: NodeResource, report: NodeReport | None, silent_s: float) -> str:
    """Why a node is lost from now on; empty when it is not, or has been for long."""
    if report is not None and report.unfit:
        return report.unfit if node.status.state != "lost" else ""
    is_late = node.status.is_heard and silent_s > LOST_AFTER_S
    return f"not heard of for {silent_s:.0f} s" if is_late else ""


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


def _blamed(known: Mapping[str, NodeResource], heard: Heard, now: float) -> dict[str, str]:
    """The nodes that are to blame for what failed on them, and why."""
    if not any(one.failed for its in heard.values() for one in its):
        return {}
    endings = {name: kept(node, heard, now) for name, node in known.items()}
    already = {name: its for name, its in endings.items() if known[name].status.blamed}
    return dict(blame.blamed({name: endings[name] for name in endings.keys() - already.keys()}, already))


def _record(node: NodeResource, heard: Heard, blamed: Mapping[str, str], now: float) -> dict[str, object]:
    """What changes of a node's status by what was heard."""
    name = node.key.name
    changes: dict[str, object] = {"blamed": blamed[name]} if name in blamed else {}
    return {**changes, "endings": kept(node, heard, now)} if name in heard else changes


def _seen(
    found: NodeResource, node: NodeResource, report: NodeReport, runs: Sequence[RunResource], now: float
) -> list[Action]:
    """`found` is as it is in the store, `node` with what was heard since."""
    doubted = doubt(report)
    if doubted:
        # Nobody is to count with what it says; and a figure that is none could not even be compared.
        report = replace(report, cpus=0.0, memory_bytes=0, gpus=0, gpu_type="", unfit=doubted)
    if report.failed_check and not node.status.blamed:
        node = node.with_status(blamed=report.failed_check)
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
    same = fresh.with_status(last_seen_at=found.status.last_seen_at).status == found.status
    # A beat that says nothing new is written only as often as being lost has to be told.
    if same and 0 <= now - found.status.last_seen_at < LOST_AFTER_S / 2:
        return []
    if found.status.state == stand.state:
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
    if node.status.blamed:
        # What runs there goes on elsewhere: it might come to a wrong end.
        return _Stand("draining" if busy else "quarantined", node.status.blamed)
    if document.cordoned:
        return _Stand("cordoned", "somebody asked for it")
    return _Stand("ready", "")
