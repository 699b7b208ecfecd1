"""Routes for what is declared: apply, look, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from modelhall.app.hall import Hall
from modelhall.control.declare import Outcome, Refusal
from modelhall.core import hallfile
from modelhall.core.errors import NotFound, Rejected
from modelhall.core.kinds import KINDS, Key, kind_named
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen

router = APIRouter(prefix="/api/v1")

Project = Annotated[str, Query(description="The project to look in.")]


def the_hall(request: Request) -> Hall:
    """The hall this API belongs to."""
    hall = request.app.state.hall
    assert isinstance(hall, Hall)
    return hall


TheHall = Annotated[Hall, Depends(the_hall)]


class Application(Frozen):
    """What `hall apply` sends."""

    documents: list[dict[str, Any]]
    dry_run: bool = False


class Applied(Frozen):
    outcomes: list[Outcome]


@router.post("/apply")
async def apply(application: Application, hall: TheHall) -> Applied:
    """Declare documents, all or none."""
    documents = []
    for place, data in enumerate(application.documents):
        try:
            documents.append(hallfile.document_from_json(data))
        except Rejected as error:
            raise Refusal(place, error) from None
    return Applied(outcomes=await hall.apply(documents, dry_run=application.dry_run))


@router.get("/schema")
async def schemas() -> dict[str, Any]:
    """The JSON Schema of every kind people declare."""
    return {name: kind.document.model_json_schema() for name, kind in KINDS.items() if kind.declared}


@router.get("/events")
async def events(
    hall: TheHall,
    kind: str | None = None,
    name: str | None = None,
    project: Project = DEFAULT_PROJECT,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 200,
) -> list[dict[str, Any]]:
    """Why things happened, oldest first; of one resource if kind and name are given."""
    if (kind is None) != (name is None):
        raise Rejected("give both kind and name, or neither", field="kind")
    key = _key(kind, name, project) if kind and name else None
    found = await hall.store.events(key, limit)
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
async def every(kinds: str, hall: TheHall, project: str | None = None) -> list[dict[str, Any]]:
    """All resources of a kind, of one project or of all."""
    found = await hall.store.all(_kind(kinds), project)
    return [resource.model_dump(mode="json") for resource in found]


@router.get("/{kinds}/{name}")
async def one(kinds: str, name: str, hall: TheHall, project: Project = DEFAULT_PROJECT) -> dict[str, Any]:
    """One resource: its document, its status, its revision."""
    key = _key(kinds, name, project)
    resource = await hall.store.get(key)
    if resource is None:
        raise NotFound(f"no {key}")
    return resource.model_dump(mode="json")


@router.delete("/{kinds}/{name}")
async def remove(kinds: str, name: str, hall: TheHall, project: Project = DEFAULT_PROJECT) -> dict[str, str]:
    """Have a resource removed, and what was made for it."""
    await hall.delete(_key(kinds, name, project))
    return {"state": "removing"}


def _kind(name: str) -> str:
    kind_named(name)
    return name if name in KINDS else name.removesuffix("s")


def _key(kinds: str, name: str, project: str) -> Key:
    return Key(_kind(kinds), project, name)
