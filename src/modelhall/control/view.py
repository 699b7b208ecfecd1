"""What the loop sees: in memory whatever is alive, as it last read it; what is at rest is asked of the store.

Most of what a hall keeps is at rest (`core.kinds.rests`): finished runs, results. The loop starts and steps at a cost
that depends on what is alive, however much lies behind it; what is as declared is read when it is first asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from modelhall.core.kinds import KINDS, AnyResource, Key, Run, is_settled, rests
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.result import Result, result_name
from modelhall.core.kinds.run import ACTIVE, DONE, RunResource
from modelhall.core.ports.store import Change, Store, Unread
from modelhall.core.references import references

PAGE = 2000


class View:
    """A mirror of what is alive, fed by the store's changes. Lookups cost what they find, not what there is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alive: dict[Key, AnyResource | Unread] = {}
        self._index: dict[Hashable, set[Key]] = defaultdict(set)
        self._awaited: dict[tuple[str, str], set[Key]] = defaultdict(set)

    async def load(self) -> int:
        """Read all that is alive; return the revision from which changes are to be followed."""
        revision = await self._store.revision()
        for kind in KINDS:
            page = await self._store.alive(kind, limit=PAGE)
            while page:
                for found in page:
                    self._renew(found.key, found.revision, found)
                after = page[-1].key if len(page) == PAGE else None
                page = await self._store.alive(kind, after=after, limit=PAGE) if after else []
        return revision

    def apply(self, change: Change) -> bool:
        """Take in one change; False when it was known already."""
        resource, known = change.resource, change.key in self._alive
        alive = None if resource is None or rests(resource) else resource
        return self._renew(change.key, change.revision, alive) and (known or resource is not None)

    def get(self, key: Key) -> AnyResource | None:
        """What is at `key`, if it is alive. What people declare always is."""
        found = self._alive.get(key)
        if isinstance(found, Unread):
            found = self._alive[key] = found.read()
        return found

    def all_keys(self) -> list[Key]:
        """Of all that is alive."""
        return list(self._alive)

    def is_settled(self, key: Key) -> bool:
        """Whether what is alive at `key` was as declared when it was looked at last."""
        found = self._alive[key]
        return isinstance(found, Unread) or is_settled(found)

    def of_kind(self, kind: str) -> list[AnyResource]:
        return self._find("kind", kind)

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return len(self._index.get(("kind", kind), ()))

    def queued(self) -> list[RunResource]:
        """The runs that wait to be started."""
        return self._find("queued")

    def active(self, node: str | None = None) -> list[RunResource]:
        """The runs that have an attempt; of one node if it is given."""
        return self._find("active") if node is None else self._find("on", node)

    @property
    def is_idle(self) -> bool:
        """Whether no run has an attempt."""
        return not self._index.get("active")

    def runs_of(self, owner: Key) -> list[RunResource]:
        """The unfinished runs made for `owner`, by name."""
        return self._find("owned", owner.path)

    async def all_runs_of(self, owner: Key) -> list[RunResource]:
        """The runs made for `owner`, by name; also those that are over."""
        found = {run.key: run for run in await self._store.find("run", owner=owner.path, resting=True)}
        found |= {run.key: run for run in self.runs_of(owner)}
        return [found[key] for key in sorted(found)]

    async def run(self, key: Key) -> RunResource | None:
        """One run, also when it is over."""
        return self.get(key) or await self._store.get(key)

    def runs_computing(self, project: str, stage_key: str) -> list[RunResource]:
        """The unfinished runs of a project whose result has the address `stage_key`, whoever they were made for."""
        return self._find("computing", project, stage_key)

    async def result(self, project: str, stage_key: str) -> Result | None:
        """What was computed for this stage key, if it was."""
        resource = await self._store.get(Key("result", project, result_name(stage_key)))
        return resource.document if resource else None

    async def results_in(self, project: str) -> list[AnyResource]:
        """All that was computed in a project."""
        return await self._store.find("result", project)

    def users_of(self, key: Key) -> list[AnyResource]:
        """Those whose documents name `key`, and that are not being removed."""
        return [user for user in self._find("names", key) if not user.deleting]

    async def all_in(self, project: str) -> list[AnyResource]:
        """Everything in a project, at rest or not."""
        return [resource for kind in KINDS for resource in await self._store.find(kind, project)]

    def await_result(self, who: Key, stage_key: str) -> None:
        """Have `who` look again when the result for `stage_key` is there, or a run that computes it ends."""
        self._awaited[who.project, result_name(stage_key)].add(who)

    def concerned(self, key: Key, before: AnyResource | None, after: AnyResource | None) -> Iterable[Key]:
        """Who has to look again when the resource at `key` has changed: itself, those who name it, its owner, those
        who lend it workers or wait for the same result; what it no longer names, which may wait for that to go; and
        when it goes itself, its project, which may be going too."""
        yield key
        yield from sorted(self._index.get(("names", key), ()))
        going = after is None or after.deleting
        named = references(before.document).values() if before else ()
        still_named = references(after.document).values() if after and not going else ()
        yield from sorted(set(named) - set(still_named))
        if going:
            yield Key("project", DEFAULT_PROJECT, key.project)
        resource = after or before
        if resource is None:
            return
        document = resource.document
        if isinstance(document, Result):
            yield from self._woken_by(key.project, key.name)
        if isinstance(document, Run):
            if document.owner:
                yield Key.parse(document.owner)
            yield from sorted(self._index.get(("owned", key.path), ()))
            ended = after is None or after.deleting or after.status.state in DONE
            if ended and document.stage and document.stage.key:
                yield from self._woken_by(key.project, result_name(document.stage.key))

    def _woken_by(self, project: str, result: str) -> list[Key]:
        return sorted(self._awaited.pop((project, result), ()))

    def _find(self, *place: Hashable) -> list[AnyResource]:
        keys = self._index.get(place if len(place) > 1 else place[0])
        return [found for key in sorted(keys) if (found := self.get(key))] if keys else []

    def _renew(self, key: Key, revision: int, found: AnyResource | Unread | None) -> bool:
        """Have `found`, or nothing, at `key`; False when what is there is as new."""
        before = self._alive.get(key)
        if before is not None:
            if before.revision >= revision:
                return False
            self._unlink(key, before)
        if found is not None:
            self._link(key, found)
        return True

    def _link(self, key: Key, found: AnyResource | Unread) -> None:
        self._alive[key] = found
        for place in _places(key, found):
            self._index[place].add(key)

    def _unlink(self, key: Key, found: AnyResource | Unread) -> None:
        del self._alive[key]
        for place in _places(key, found):
            keys = self._index[place]
            keys.discard(key)
            if not keys:
                del self._index[place]


def _places(key: Key, resource: AnyResource | Unread) -> list[Hashable]:
    """Every index entry that a resource belongs to."""
    if isinstance(resource, Unread):
        return [("kind", key.kind), *(("names", target) for target in resource.names)]
    document = resource.document
    places: list[Hashable] = [("kind", key.kind)]
    places += [("names", target) for target in references(document).values()]
    if isinstance(document, Run):
        state = resource.status.state
        if state == "queued":
            places.append("queued")
        if state in ACTIVE:
            places += ["active", ("on", resource.status.node)]
        if document.owner:
            places.append(("owned", document.owner))
        if document.stage and document.stage.key:
            places.append(("computing", key.project, document.stage.key))
    return places
