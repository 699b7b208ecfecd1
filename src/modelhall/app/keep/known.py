"""Every resource of a hall at once, and the artifacts each of them names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from modelhall.app.keep.resources import all_of
from modelhall.core.adapter_names import called
from modelhall.core.kinds import KINDS, AnyResource, Key
from modelhall.core.kinds.result import result_name
from modelhall.core.kinds.rollout import Release
from modelhall.core.names import split_reference
from modelhall.core.ports.store import Store


class Artifact(NamedTuple):
    """What something that was computed is called: two projects that compute the same have one each."""

    project: str
    digest: str


@dataclass
class Known:
    """Every resource, and which artifacts each of them names."""

    resources: dict[Key, AnyResource] = field(default_factory=dict)
    artifacts: dict[Artifact, list[str]] = field(default_factory=dict)
    """Artifact → who names it, in words."""

    def of_kind(self, kind: str) -> Iterator[AnyResource]:
        return (resource for key, resource in self.resources.items() if key.kind == kind)

    def results_with(self, artifact: Artifact) -> list[AnyResource]:
        """The results that are this artifact."""
        return [
            found
            for found in self.of_kind("result")
            if found.key.project == artifact.project
            and artifact.digest in (found.document.output.get(name) for name in ("artifact", "signature"))
        ]

    def runs_computing(self, project: str, name: str) -> list[AnyResource]:
        """The runs of a project whose result is, or would be, the one of this name; also those that are over."""
        found = []
        for run in self.of_kind("run"):
            stage = run.document.stage
            if run.key.project == project and stage and stage.key and result_name(stage.key) == name:
                found.append(run)
        return found


async def look(store: Store) -> Known:
    """Read every resource."""
    known = Known()
    for kind in KINDS:
        async for resource in all_of(store, kind):
            known.resources[resource.key] = resource
    for resource in known.resources.values():
        for digest, who in _artifacts_of(resource, known):
            known.artifacts.setdefault(Artifact(resource.key.project, digest), []).append(who)
    return known


def converted(service: AnyResource) -> Release | None:
    """What a service serves, if it was converted for its engine."""
    release: Release | None = service.status.release
    return release if release is not None and release.convert_run is not None else None


def _artifacts_of(resource: AnyResource, known: Known) -> Iterator[tuple[str, str]]:
    """Every artifact a resource names, and what it is to it."""
    key = resource.key
    if key.kind in ("dataset", "model"):
        for version in resource.status.versions:
            if getattr(version, "erased", None) is None:
                yield version.artifact, f"{key}@{version.id[:8]}"
    if key.kind == "model":
        for version in resource.status.versions:
            for what, artifact in version.beside.items():
                yield artifact, f"the {what} of {key}@{version.id[:8]}"
            if version.base is not None:
                yield version.base.artifact, f"the base of {key}@{version.id[:8]}"
    if key.kind == "result" and isinstance(artifact := resource.document.output.get("artifact"), str):
        yield artifact, f"result {key.name[:10]}"
    if key.kind == "service":
        model = known.resources.get(Key("model", key.project, split_reference(resource.document.model)[0]))
        for version in model.status.versions if model is not None else ():
            if version.id == resource.status.version:
                yield version.artifact, str(key)
        if (release := converted(resource)) is not None:
            yield release.order["artifact"], f"what {key} has converted"
            if release.order["signature"] is not None:
                yield release.order["signature"], f"the signature of what {key} has converted"
        release = resource.status.release
        for name, adapter in (release.order.get("adapters", {}) if release is not None else {}).items():
            yield adapter["artifact"], called(str(key), name)
