"""Routes for secrets. A value goes in and never comes out again: what is asked for is answered with names."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from modelhall.app.hall import Hall
from modelhall.core.errors import NotFound, Rejected
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.doors.api.asking import TheHall, Word

router = APIRouter(prefix="/api/v1/secrets")

BODY = {"requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}}}


class Names(Frozen):
    names: list[str]


@router.get("/{project}")
async def names(project: Word, hall: TheHall) -> Names:
    """The names of a project's secrets."""
    await _check_project(hall, project)
    return Names(names=await asyncio.to_thread(hall.secrets.names, project))


@router.get("/{project}/{name}")
async def one(project: Word, name: Word, hall: TheHall) -> Names:
    """The name, if there is such a secret."""
    if name not in (await names(project, hall)).names:
        raise NotFound(f"no secret {name!r} in project {project!r}", field="name")
    return Names(names=[name])


@router.put("/{project}/{name}", status_code=204, openapi_extra=BODY)
async def put(project: Word, name: Word, request: Request, hall: TheHall) -> Response:
    """Keep the body as the secret's value, in place of the one before. Runs that start from now on are handed it."""
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        raise Rejected("a secret is sent as text/plain; as JSON it would be kept with its quotes", status=415)
    await _check_project(hall, project)
    await asyncio.to_thread(hall.secrets.put, project, name, await request.body())
    return Response(status_code=204)


@router.delete("/{project}/{name}", status_code=204)
async def delete(project: Word, name: Word, hall: TheHall) -> Response:
    """Forget a secret. Runs that have been handed it keep it."""
    if not await asyncio.to_thread(hall.secrets.delete, project, name):
        raise NotFound(f"no secret {name!r} in project {project!r}", field="name")
    return Response(status_code=204)


async def _check_project(hall: Hall, project: str) -> None:
    key = Key("project", DEFAULT_PROJECT, project)
    if project != DEFAULT_PROJECT and await hall.store.get(key) is None:
        raise NotFound(f"no {key}", field="project")
