"""What must be so in the end, once nothing fails any more: all that is declared is true, or says why it is not."""

from __future__ import annotations

from collections.abc import Mapping

from modelhall.control import queue
from modelhall.control.actions import Start
from modelhall.control.runs import attempt_id
from modelhall.control.view import View
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.run import ACTIVE, DONE
from modelhall.core.ports.store import Store
from modelhall.core.references import references
from modelhall.policy.deciding import Policy
from modelhall.twin.machines import Machines
from modelhall.twin.scheduler import finish

There = Mapping[Key, AnyResource]
"""All that is stored."""


def unfinished(there: There) -> list[str]:
    """What is declared and neither true nor explained."""
    found = [resource for _, resource in sorted(there.items())]
    named = {target for r in found if not r.deleting for target in references(r.document).values()}
    queued = {r.key.name for r in found if r.key.kind == "run" and r.status.state == "queued"}
    cancelled = {r.key.name for r in found if r.key.kind == "run" and r.document.cancelled}
    left = []
    for resource in found:
        key, status = resource.key, resource.status
        is_explained = bool(status.reason) and (
            # What waits for a failed one waits for its user; what waits for room is seen to below.
            status.state in ("failed", "refused", "waiting")
            or any(name in status.reason for name in queued)
            or (key.kind == "service" and cancelled & {replica.run for replica in status.replicas})
            or (key.kind == "service" and any(name.startswith(key.name) for name in queued))
        )
        is_true = {
            "project": status.state == "new",
            "result": True,
            "run": status.state in DONE or (status.state == "running" and resource.document.restart),
        }.get(key.kind, status.state == "ready")
        if key.kind == "run":
            is_explained = status.state == "queued" and bool(status.reason)
        if resource.deleting:
            is_true, is_explained = False, key in named
        if not is_true and not is_explained:
            going = "is being removed and " if resource.deleting else ""
            left.append(f"{key} {going}is {status.state}: {status.reason}")
    return left


def startable(store: Store, policy: Policy, now: float) -> list[str]:
    """The runs that the policy would start at once, had it been asked."""
    view = View(store)
    finish(view.load())
    starts = [action for action in queue.schedule(view, policy, now) if isinstance(action, Start)]
    return [f"run {start.launch.run} waits although there is room" for start in starts]


def left_over(there: There, machines: Machines) -> list[str]:
    """What runs or is kept and belongs to nothing."""
    runs = {r.uid: r for key, r in there.items() if key.kind == "run"}
    wanted = {attempt_id(run) for run in runs.values() if run.status.state in ACTIVE}
    alive = {launch.id: launch.run for launch in machines.alive()}
    left = [f"attempt {id} of {run} runs and is not wanted" for id, run in alive.items() if id not in wanted]
    left += [f"attempt {id} is wanted and does not run" for id in sorted(wanted) if id not in alive]
    left += [f"attempt {id} is kept, and its run is gone" for id in machines.kept() if id.run_uid not in runs]
    return left
