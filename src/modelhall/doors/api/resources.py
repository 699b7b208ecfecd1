"""Routes for what is declared: apply, look, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from modelhall.app import sight
from modelhall.app.foresight import Foreseen
from modelhall.control.declare import Outcome, Refusal
from modelhall.core import hallfile
from modelhall.core.errors import NotFound, NotYours, Rejected
from modelhall.core.kinds import KINDS, Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.doors.api.asking import Labels, OnceOnly, OnRecord, Project, TheHall, key_of, kind_of
from modelhall.doors.api.gate import note_refused
from modelhall.doors.api.permissions import Who
from modelhall.trust.issuing import check_declared
from modelhall.trust.permissions import check_change, check_look

router = APIRouter(prefix="/api/v1")

PAGE = 1000
LONGEST_PAGE = 10_000


class Application(Frozen):
    """What `hall apply` sends."""

    documents: list[dict[str, Any]]
    dry_run: bool = False


class Done(Frozen):
    """What a call did, to each resource it was about."""

    outcomes: list[Outcome]


class Applied(Frozen):
    """What declaring documents did to each; of a dry run, what it would do, and what that is expected to take."""

    outcomes: list[Foreseen]


class Page(Frozen):
    """Some resources of a kind, ordered by project and name."""

    items: list[dict[str, Any]]
    revision: int
    """The hall's revision before it looked: a watch from here on misses nothing."""
    next: str | None
    """What to give as `after` for those that follow; null on the last page."""


@router.post("/apply")
async def apply(
    application: Application, hall: TheHall, once: OnceOnly, who: Who, written: OnRecord, request: Request
) -> Applied:
    """Declare documents, all or none."""
    documents = []
    for place, data in enumerate(application.documents):
        try:
            document = hallfile.document_from_json(data)
            check_change(who, document.key)
            check_declared(who, document)
        except Rejected as error:
            if isinstance(error, NotYours):
                note_refused(hall.guarding.gate, request, error)
            raise Refusal(place, error) from None
        documents.append(document)
    outcomes = await hall.apply(documents, dry_run=application.dry_run, once=once, written=written)
    if not application.dry_run:
        # Whoever asks again with the same key is to hear the same.
        return Applied(outcomes=[Foreseen(**outcome.model_dump()) for outcome in outcomes])
    return Applied(outcomes=await hall.foresight.of(documents, outcomes))


@router.get("/schema")
async def schemas() -> dict[str, Any]:
    """The JSON Schema of every kind people declare."""
    return {name: kind.document.model_json_schema() for name, kind in KINDS.items() if kind.declared}


@router.get("/events")
async def events(
    hall: TheHall,
    who: Who,
    kind: str | None = None,
    name: str | None = None,
    project: Annotated[str | None, Query(description="All that you may see if not given.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
) -> list[dict[str, Any]]:
    """Why things happened, oldest first; of one resource if kind and name are given."""
    if (kind is None) != (name is None):
        raise Rejected("give both kind and name, or neither", field="kind")
    if kind and name:
        key = key_of(kind, name, project or DEFAULT_PROJECT)
        check_look(who, key)
        found = await hall.store.events(key, limit)
    else:
        found = await sight.events(hall.store, who, project, limit)
    return [
        {
            "at": e.at,
            "kind": e.key.kind,
            "project": e.key.project,
            "name": e.key.name,
            "event": e.name,
            "message": e.message,
        }
        for e in reversed(found)
    ]


@router.get("/{kinds}")
async def every(
    kinds: str,
    hall: TheHall,
    who: Who,
    labels: Labels,
    project: str | None = None,
    alive: Annotated[
        bool, Query(description="Leave out what is over, such as runs that have ended.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = PAGE,
    after: Annotated[
        str | None,
        Query(description="project/name: those that follow it.", json_schema_extra={"pattern": "^[^/]*/.*$"}),
    ] = None,
) -> Page:
    """Resources of a kind, of one project or of all that you may see, a page at a time."""
    kind = kind_of(kinds)
    revision = await hall.store.revision()
    found = await sight.find(
        hall.store,
        who,
        kind,
        project,
        labels=labels,
        resting=False if alive else None,
        after=_place(kind, after),
        limit=limit + 1,
    )
    last = found[limit - 1].key if len(found) > limit else None
    return Page(
        items=[resource.model_dump(mode="json") for resource in found[:limit]],
        revision=revision,
        next=f"{last.project}/{last.name}" if last else None,
    )


@router.get("/{kinds}/{name}")
async def one(kinds: str, name: str, hall: TheHall, project: Project = DEFAULT_PROJECT) -> dict[str, Any]:
    """One resource: its document, its status, its revision."""
    key = key_of(kinds, name, project)
    resource = await hall.store.get(key)
    if resource is None:
        raise NotFound(f"no {key}")
    return resource.model_dump(mode="json")


@router.delete("/{kinds}/{name}")
async def remove(
    kinds: str,
    name: str,
    hall: TheHall,
    once: OnceOnly,
    written: OnRecord,
    project: Project = DEFAULT_PROJECT,
) -> Done:
    """Have a resource removed, and what was made for it."""
    return Done(outcomes=await hall.delete(key_of(kinds, name, project), once=once, written=written))


def _place(kind: str, after: str | None) -> Key | None:
    if after is None:
        return None
    project, slash, name = after.partition("/")
    if not slash:
        raise Rejected(f"a page goes on after project/name, not after {after!r}", field="after")
    return Key(kind, project, name)
