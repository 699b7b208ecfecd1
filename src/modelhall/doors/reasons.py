"""Why a run is in the state it is in, what it waits for and what would help, in words. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from modelhall.core.kinds import AnyResource, Problem
from modelhall.core.kinds.run import ACTIVE, held_cpus
from modelhall.core.units import show_seconds

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Around:
    """What a queued run shares the hall with."""

    alive: Sequence[AnyResource] = ()
    """The runs that are not over, of all projects."""
    nodes: Sequence[AnyResource] = ()
    projects: Sequence[AnyResource] = ()


class Explanation(NamedTuple):
    why: str
    helps: str = ""
    """What would start it, or what to do about how it ended."""


def explain(run: AnyResource, around: Around, now: float) -> Explanation:
    """The words for one run."""
    status = run.status
    match status.state:
        case "waiting" if status.not_before > now:
            at = datetime.fromtimestamp(status.not_before).astimezone().strftime("%H:%M:%S")
            return Explanation(
                status.reason, f"it goes on by itself in {show_seconds(status.not_before - now)}, at {at}"
            )
        case "waiting":
            return Explanation(
                status.reason or "it has just been asked for", "the hall looks at it in a moment"
            )
        case "queued":
            return _queued(run, around)
        case "failed":
            return Explanation(status.reason, _mended(run, status.problem))
        case "cancelled":
            return Explanation(status.reason, "to have it run again, declare it under another name")
    return Explanation(status.reason or status.state)


def _queued(run: AnyResource, around: Around) -> Explanation:
    why = run.status.reason or "it is about to be put before the scheduler"
    return Explanation(why, _starts_with(run, around))


def _starts_with(run: AnyResource, around: Around) -> str:
    """What would have the scheduler start it: the first of its conditions that is not met."""
    # Only trainings have workers, and those may be on several nodes: one of them must fit on one.
    cpus, memory_bytes = run.document.resources.cpus, run.document.resources.memory_bytes
    nodes = [node for node in around.nodes if node.status.state == "ready"]
    if not nodes:
        return "a node that is ready; `hall get nodes` shows what there is"
    if words := _quota(run, around):
        return words
    if all(cpus > node.status.cpus for node in nodes):
        most = max(node.status.cpus for node in nodes)
        return f"a larger node, or a run that asks for at most {most:g} CPUs"
    if all(memory_bytes > node.status.memory_bytes for node in nodes):
        most = max(node.status.memory_bytes for node in nodes) / 2**30
        return f"a node with more memory, or a run that asks for at most {most:.1f} GiB"
    holding = _holders(around, None)
    which = f" ({holding} hold CPUs now)" if holding else ""
    return f"room on a node{which}; a higher priority would pass those ahead of it"


def _quota(run: AnyResource, around: Around) -> str:
    """Which quota is in its way, and what would move it; empty when none is."""
    name, asked = run.key.project, _least_cpus(run)
    most = next((p.document.quota.cpus for p in around.projects if p.key.name == name), None)
    if most is None or not asked:
        return ""
    used = sum(held_cpus(o) for o in around.alive if o.key.project == name and o.status.state in ACTIVE)
    if asked > most:
        return f"a quota of at least {asked:g} CPUs for project {name} (it has {most:g}), or a run that asks for less"
    if used + asked > most:
        return f"the end of runs of project {name} ({_holders(around, name)}), or a quota above {most:g} CPUs"
    return ""


def _least_cpus(run: AnyResource) -> float:
    """The CPUs without which it does not start: those of the fewest workers."""
    return float(run.document.resources.cpus * run.document.resources.workers.min)


def _holders(around: Around, project: str | None) -> str:
    """The runs that hold CPUs, of one project or of all, as far as they fit on a line."""
    names = [
        other.key.name
        for other in around.alive
        if other.status.state in ACTIVE
        and other.document.resources.cpus
        and project in (None, other.key.project)
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _mended(run: AnyResource, problem: Problem | None) -> str:
    look = f"`hall logs {run.key.name}` shows what it said"
    if problem is None:
        return look
    if problem.who == "caller":
        what = f"mend {problem.field}" if problem.field else "mend the command"
        return f"{look}; {what}, and declare it under another name"
    if problem.who == "time":
        return f"{look}; the machine failed it too often: to try again, declare it under another name"
    return f"{look}; this is a mistake of the hall's: `hall describe run {run.key.name}` tells what to report"
