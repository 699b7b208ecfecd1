"""What somebody may see of the store: lists and events over the projects he has a part in, and no others.

Whoever runs the hall sees all of it at the cost of one query; the others cost one for each of their projects.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhall.core.access import Identity
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.store import Event, Store
from modelhall.trust.permissions import LOOK, check, may_look


async def find(
    store: Store,
    who: Identity,
    kind: str,
    project: str | None,
    *,
    labels: Mapping[str, str] | None = None,
    resting: bool | None = None,
    after: Key | None = None,
    limit: int,
) -> list[AnyResource]:
    """The `limit` first resources of a kind after the key `after`, of one project or of all he may see it in.

    Raises NotFound or Denied for a project he may not see it in.
    """
    verb = LOOK.get(kind, "see")
    if project is not None and kind != "project":
        check(who, verb, project)
    if verb in who.everywhere:
        return await store.find(kind, project, labels=labels, resting=resting, after=after, limit=limit)
    if kind == "project":
        return await _projects(store, who, labels=labels or {}, after=after, limit=limit)
    mine = [name for name in (who.projects() or ()) if who.may(verb, name) and project in (None, name)]
    found: list[AnyResource] = []
    for name in mine:
        if len(found) < limit and (after is None or name >= after.project):
            found += await store.find(
                kind, name, labels=labels, resting=resting, after=after, limit=limit - len(found)
            )
    return found


async def latest(
    store: Store,
    who: Identity,
    kind: str,
    project: str | None,
    *,
    state: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[AnyResource]:
    """The `limit` resources of a kind that changed last and before a revision, newest first, of one project or of all
    he may see it in. Raises NotFound or Denied for a project he may not see it in."""
    verb = LOOK.get(kind, "see")
    if project is not None:
        check(who, verb, project)
    if verb in who.everywhere or project is not None:
        return await store.latest(kind, project, state=state, before=before, limit=limit)
    mine = [name for name in (who.projects() or ()) if who.may(verb, name)]
    found = [
        resource
        for name in mine
        for resource in await store.latest(kind, name, state=state, before=before, limit=limit)
    ]
    return sorted(found, key=lambda resource: -resource.revision)[:limit]


async def events(store: Store, who: Identity, project: str | None, limit: int) -> list[Event]:
    """The newest events of one project, or of all he may see, newest first. Raises NotFound or Denied."""
    if project is not None:
        check(who, "see", project)
    if "see" in who.everywhere:
        found = await store.events(limit=limit, project=project)
    else:
        mine = [name for name in (who.projects() or ()) if who.may("see", name) and project in (None, name)]
        found = [event for name in mine for event in await store.events(limit=limit, project=name)]
    visible = [event for event in found if may_look(who, event.key)]
    return sorted(visible, key=lambda event: event.at, reverse=True)[:limit]


async def _projects(
    store: Store, who: Identity, *, labels: Mapping[str, str], after: Key | None, limit: int
) -> list[AnyResource]:
    """The projects he has a part in."""
    keys = [Key("project", DEFAULT_PROJECT, name) for name in (who.projects() or ())]
    there = [found for key in keys if may_look(who, key) and (found := await store.get(key)) is not None]
    wanted = [found for found in there if labels.items() <= found.document.labels.items()]
    return [found for found in wanted if after is None or found.key > after][:limit]
