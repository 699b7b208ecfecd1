"""The store's resources in memory, as the loop last saw them, with the ways the reconcilers look things up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from modelhall.core.kinds import AnyResource, Key, Run
from modelhall.core.kinds.result import Result, result_name
from modelhall.core.kinds.run import DONE, RunResource
from modelhall.core.ports.store import Change
from modelhall.core.references import references

COMPUTING = {"dataset": ("preparing",), "model": ("training", "evaluating")}
"""The states in which a resource waits for a result, which another's run may bring."""


class View:
    """A mirror fed by the store's changes. Lookups cost what they find, not what there is."""

    def __init__(self) -> None:
        self._resources: dict[Key, AnyResource] = {}
        self._kinds: dict[str, set[Key]] = defaultdict(set)
        self._owned: dict[str, set[Key]] = defaultdict(set)
        self._referrers: dict[Key, set[Key]] = defaultdict(set)
        self._computing: dict[tuple[str, str], set[Key]] = defaultdict(set)

    def apply(self, change: Change) -> bool:
        """Take in one change; False when it was known already."""
        before = self._resources.get(change.key)
        if before is not None:
            if before.revision >= change.revision:
                return False
            self._unlink(before)
        if change.resource is not None:
            self._link(change.resource)
        return before is not None or change.resource is not None

    def get(self, key: Key) -> AnyResource | None:
        return self._resources.get(key)

    def of_kind(self, kind: str, project: str | None = None) -> list[AnyResource]:
        keys = (key for key in self._kinds[kind] if project in (None, key.project))
        return [self._resources[key] for key in sorted(keys)]

    def runs_of(self, owner: Key) -> list[RunResource]:
        """The runs made for `owner`, by name."""
        return [self._resources[key] for key in sorted(self._owned[owner.path])]

    def runs_computing(self, project: str, stage_key: str) -> list[RunResource]:
        """The runs of a project whose result has the address `stage_key`, whoever they were made for."""
        return [self._resources[key] for key in sorted(self._computing[project, stage_key])]

    def result(self, project: str, stage_key: str) -> Result | None:
        """What was computed for this stage key, if it was."""
        resource = self._resources.get(Key("result", project, result_name(stage_key)))
        return resource.document if resource else None

    def concerned(self, resource: AnyResource) -> Iterable[Key]:
        """Who has to look again when `resource` changes: itself, its owner, those who name it, and those who
        may be waiting for the same result."""
        yield resource.key
        yield from self._referrers[resource.key]
        document = resource.document
        if isinstance(document, Run) and document.owner:
            yield Key.parse(document.owner)
        ends = isinstance(document, Run) and (resource.status.state in DONE or resource.deleting)
        if isinstance(document, Result) or ends:
            for kind, states in COMPUTING.items():
                for other in self.of_kind(kind, resource.key.project):
                    if other.status.state in states:
                        yield other.key

    def _link(self, resource: AnyResource) -> None:
        self._resources[resource.key] = resource
        for index in self._indexes(resource):
            index.add(resource.key)

    def _unlink(self, resource: AnyResource) -> None:
        del self._resources[resource.key]
        for index in self._indexes(resource):
            index.discard(resource.key)

    def _indexes(self, resource: AnyResource) -> Iterable[set[Key]]:
        """Every index entry that `resource` belongs to."""
        yield self._kinds[resource.key.kind]
        for target in references(resource.document).values():
            yield self._referrers[target]
        if isinstance(resource.document, Run):
            if resource.document.owner:
                yield self._owned[resource.document.owner]
            if resource.document.stage and resource.document.stage.key:
                yield self._computing[resource.key.project, resource.document.stage.key]
