"""Services: keep the asked-for number of replicas of the right version answering.

A new version's replicas start beside the old ones; requests move when all of them are ready, and only then are
the old ones stopped. A version that does not come up leaves the old one serving.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.control import meant, work
from modelhall.control.actions import Action, Create, Note, update_status
from modelhall.control.view import View
from modelhall.core import digest
from modelhall.core.kinds import Key, Problem, Run
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.run import ACTIVE, DONE, RunResource, Stage
from modelhall.core.kinds.service import Replica, Service, ServiceResource
from modelhall.core.names import split_reference
from modelhall.core.orders import ServeOrder
from modelhall.core.ports.signature import SigningKeys

STAGE = "serve"


@dataclass(frozen=True, kw_only=True)
class Facts:
    version: ModelVersion | None
    """The version to serve."""
    waits: str
    """Why there is none yet; empty when there is."""
    runs: list[RunResource]
    """Its replicas, also those that are over: one that was replaced is cleared away."""
    public_key: str | None = None
    """Whose signature the version has; None in a hall that does not sign."""


async def observe(resource: ServiceResource, view: View, keys: SigningKeys | None = None) -> Facts:
    """Find the version to serve, a signed one if this hall signs, and the replicas there are."""
    name, pinned = split_reference(resource.document.model)
    trusted = keys.trusted() if keys is not None else None
    version, waits = meant.model_version(
        view.get(Key("model", resource.key.project, name)), name, pinned, trusted
    )
    signature = version.signature if version is not None else None
    public_key = trusted[signature.key] if trusted is not None and signature is not None else None
    runs = await view.all_runs_of(resource.key)
    return Facts(version=version, waits=waits, runs=runs, public_key=public_key)


def reconcile(resource: ServiceResource, facts: Facts, now: float) -> list[Action]:
    """Start, switch to and stop replicas, one step at a time."""
    replicas = tuple(_replica(run) for run in facts.runs if run.document.stage)
    if facts.version is None:
        return update_status(resource, state="waiting", reason=facts.waits, replicas=replicas, problem=None)
    wanted = _wanted(resource.document, facts.version, facts.public_key)
    complete = wanted.keys() <= {replica.run for replica in replicas if replica.state == "ready"}
    serving = facts.version.id if complete else _serving(resource, facts.version.id, replicas)
    there = {run.document.name for run in facts.runs if not run.deleting}
    needless = [run for run in facts.runs if run.document.name not in wanted]
    if not complete:
        needless = [run for run in needless if _replica(run).version != serving]
    return [
        *(Create(document=run) for name, run in wanted.items() if name not in there),
        *work.remove_all(needless),
        *_report(resource, facts, replicas, serving, complete=complete),
    ]


def _wanted(document: Service, version: ModelVersion, public_key: str | None) -> dict[str, Run]:
    """The replicas there should be, by name. The name holds a digest of all that a replica cannot change while
    it runs, so that another order means other replicas."""
    order = ServeOrder(
        service=document.name, version=version.id, artifact=version.artifact, task=version.task,
        engine=document.engine or version.engine, batching=document.batching, public_key=public_key,
        signature=version.signature.artifact if public_key is not None and version.signature else None,
    )  # fmt: skip
    identity = digest.of_json([order.model_dump(mode="json"), document.resources.model_dump()])[:8]
    runs = [
        Run(
            name=f"{document.name[:40]}-{identity}-{slot}",
            project=document.project,
            owner=document.key.path,
            stage=Stage(program=STAGE, order=order.model_dump(mode="json")),
            resources=document.resources,
            restart=True,
        )
        for slot in range(document.replicas + document.standby)
    ]
    return {run.name: run for run in runs}


def _serving(resource: ServiceResource, newest: str, replicas: tuple[Replica, ...]) -> str:
    """The version requests go to while not all wanted replicas are ready: the one before, as long as it answers."""
    before = resource.status.version
    ready = {replica.version for replica in replicas if replica.state == "ready"}
    return before if before in ready else newest


def _report(
    resource: ServiceResource, facts: Facts, replicas: tuple[Replica, ...], serving: str, *, complete: bool
) -> list[Action]:
    assert facts.version is not None
    asked = resource.document.replicas + resource.document.standby
    ready = sum(replica.state == "ready" and replica.version == serving for replica in replicas)
    was_complete = resource.status.state in ("ready", "degraded")
    state = "ready" if complete else "degraded" if ready and was_complete else "starting"
    reason = f"{ready} of {asked} replicas ready, version {serving[:8]}"
    if serving != facts.version.id:
        reason += f"; {facts.version.id[:8]} is starting"
    elif not complete and ready >= asked:
        reason += "; those that are to replace them are starting"
    problem = None if state == "ready" else _problem(facts.runs)
    if problem is not None:
        state, reason = "degraded" if ready else "failed", f"{reason}: {problem.message}"
    notes = []
    if serving != resource.status.version:
        notes.append(Note(key=resource.key, name="service.version", message=f"serves version {serving[:8]}"))
    if state != resource.status.state:
        notes.append(Note(key=resource.key, name=f"service.{state}", message=reason))
    update = update_status(
        resource, state=state, reason=reason, version=serving, replicas=replicas, problem=problem
    )
    return [*update, *notes]


def _problem(runs: list[RunResource]) -> Problem | None:
    """What keeps replicas from coming up: one has failed for good or again and again, or somebody cancelled it."""
    failing = [run for run in runs if run.status.state == "failed" or run.status.failures >= 3]
    problem = next((run.status.problem for run in failing if run.status.problem), None)
    cancelled = next((run.key.name for run in runs if run.status.state == "cancelled"), None)
    if problem is None and cancelled is not None:
        message = f"replica {cancelled} was cancelled; `hall delete run {cancelled}` has it made again"
        return Problem(message=message, who="caller")
    return problem


def _replica(run: RunResource) -> Replica:
    stage = run.document.stage
    assert stage is not None
    ready = run.status.state in ACTIVE and run.status.address is not None and not run.deleting
    leaving = run.deleting or run.document.cancelled or run.status.state in DONE
    return Replica(
        run=run.document.name,
        uid=run.uid,
        version=stage.order["version"],
        state="ready" if ready else "stopping" if leaving else "starting",
        address=run.status.address if ready else None,
    )
