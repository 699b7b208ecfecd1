"""Releases of a service: the one that is declared, the one that serves, and the replicas that each of them has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelhall.control.conversion import Converted
from modelhall.core.kinds import Problem, Run
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.rollout import Release
from modelhall.core.kinds.run import ACTIVE, DONE, RunResource, Stage
from modelhall.core.kinds.service import Replica, Service, ServiceResource
from modelhall.core.orders import ServedAdapter, ServeOrder

STAGE = "serve"


def engine_of(document: Service, version: ModelVersion) -> str:
    """What a service has a version answer by."""
    return document.engine or version.engine


def release_of(
    document: Service,
    version: ModelVersion,
    number: int | None,
    public_key: str | None,
    converted: Converted | None = None,
    adapters: Mapping[str, ServedAdapter] | None = None,
) -> Release:
    """A version as the service declares it to be served, with the `adapters` beside it; `public_key` is whose
    signature it has, and what it was `converted` to has its own."""
    files = converted or Converted(
        artifact=version.artifact, run="", public_key=public_key, signature=signature_of(version, public_key)
    )
    order = ServeOrder(
        service=document.name, version=version.id, artifact=files.artifact, task=version.task,
        engine=engine_of(document, version), batching=document.batching, public_key=files.public_key,
        signature=files.signature, adapters=adapters or {},
    )  # fmt: skip
    # Left out where there are none, so that releases from before there were any are the same as ever.
    told = order.model_dump(mode="json", exclude=None if order.adapters else {"adapters"})
    return Release(
        version=version.id, number=number, order=told, resources=document.resources,
        convert_run=converted.run if converted is not None else None,
    )  # fmt: skip


def signature_of(version: ModelVersion, public_key: str | None) -> str | None:
    """The artifact of the signature that a replica is to check; None in a hall that does not sign."""
    return version.signature.artifact if public_key is not None and version.signature else None


def serving(resource: ServiceResource, runs: Iterable[RunResource]) -> Release | None:
    """The release requests are sent to, as the status has it; of a status that an earlier hall wrote, as its replicas
    tell it."""
    status = resource.status
    if status.release is not None:
        return status.release
    made = (_made_by(run) for run in runs if run.document.stage and run.status.address is not None)
    return next((release for release in made if release.version == status.version), None)


def replica_runs(document: Service, release: Release, count: int) -> dict[str, Run]:
    """So many replicas of a release, by name. The name holds a digest of all that a replica cannot change while it
    runs, so that another release has other replicas."""
    runs = [
        Run(
            name=f"{document.name[:40]}-{release.id}-{slot}",
            project=document.project,
            owner=document.key.path,
            stage=Stage(program=STAGE, order=release.order),
            resources=release.resources,
            restart=True,
        )
        for slot in range(count)
    ]
    return {run.name: run for run in runs}


def is_replica(run: RunResource) -> bool:
    """Whether a run that was made for a service answers requests."""
    return run.document.stage is not None and run.document.stage.program == STAGE


def replica_of(run: RunResource, numbers: dict[str, int]) -> Replica:
    """A run as its service sees it; `numbers` are those of versions by their ids."""
    release = _made_by(run)
    ready = run.status.state in ACTIVE and run.status.address is not None and not run.deleting
    leaving = run.deleting or run.document.cancelled or run.status.state in DONE
    return Replica(
        run=run.document.name,
        uid=run.uid,
        version=release.version,
        release=release.id,
        number=numbers.get(release.version),
        adapters=release.adapters,
        state="ready" if ready else "stopping" if leaving else "starting",
        address=run.status.address if ready else None,
    )


def problem_of(runs: Iterable[RunResource]) -> Problem | None:
    """What keeps replicas from coming up: one has failed for good or again and again, or somebody cancelled it. Those
    that are being cleared away, and end cancelled, keep nothing from coming up."""
    there = [run for run in runs if not run.deleting]
    failing = [run for run in there if run.status.state == "failed" or run.status.failures >= 3]
    problem = next((run.status.problem for run in failing if run.status.problem), None)
    cancelled = next((run.key.name for run in there if run.status.state == "cancelled"), None)
    if problem is None and cancelled is not None:
        message = f"replica {cancelled} was cancelled; `hall delete run {cancelled}` has it made again"
        return Problem(message=message, who="caller")
    return problem


def _made_by(run: RunResource) -> Release:
    stage = run.document.stage
    assert stage is not None
    return Release(version=stage.order["version"], order=stage.order, resources=run.document.resources)
