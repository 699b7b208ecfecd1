"""Routes for nodes: what people say of them, and what their agents say and move (`core/node_line.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from modelhall.app.hall import Hall
from modelhall.app.node_files import StateFile
from modelhall.app.nodes import LONGEST_NAME, Invitation, Joined, Wishes, hear
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import Frozen
from modelhall.core.names import Name
from modelhall.core.node_line import Beat, Errands
from modelhall.doors.api.asking import TheHall, Word
from modelhall.doors.api.permissions import Who

router = APIRouter(prefix="/api/v1/nodes")

LONGEST_INVITATION_S = 86_400.0
CHUNK_BYTES = 1 << 20
FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Object = Annotated[str, Query(pattern="^[0-9a-f]{64}(\\.key|\\.sealed)?$")]
Run = Annotated[str, Query(max_length=63, description="The run whose state it is.")]
Attempt = Annotated[int, Query(ge=1, le=10**9)]
Place = Annotated[str, Query(min_length=1, max_length=1000, description="Within the run's state.")]


class Invite(Frozen):
    """What a machine is invited with."""

    labels: dict[str, str] = Field(default_factory=dict)
    lasts_s: float = Field(default=900.0, gt=0, le=LONGEST_INVITATION_S)


class Join(Frozen):
    """As which node a machine joins."""

    name: Name = Field(max_length=LONGEST_NAME)


@router.post("/invite", status_code=201)
async def invite(asked: Invite, hall: TheHall, who: Who) -> Invitation:
    """Make what one machine can join with, once and for a while."""
    made = await hall.nodes.invite(asked.labels, asked.lasts_s, who)
    await hall.follower.catch_up()
    return made


@router.post("/join", status_code=201)
async def join(asked: Join, hall: TheHall, who: Who) -> Joined:
    """Join as a node; what is answered is what its agent shows from now on."""
    joined = await hall.nodes.join(asked.name, who)
    await hall.follower.catch_up()
    return joined


@router.patch("/{name}")
async def tell(name: Word, wishes: Wishes, hall: TheHall, who: Who) -> dict[str, Any]:
    """Cordon a node, drain it, label it, say when it is maintained; with `cordoned` or `drained` false, have it be
    used again whatever is held against it."""
    return (await hall.nodes.tell(name, wishes, who)).model_dump(mode="json")


@router.post("/{name}/remove", status_code=204)
async def remove(name: Word, hall: TheHall, who: Who) -> Response:
    """Have a node be no more."""
    await hall.nodes.remove(name, who)
    await hall.follower.catch_up()
    return Response(status_code=204)


@router.post("/{name}/beat")
async def beat(name: Word, said: Beat, hall: TheHall) -> Errands:
    """What an agent says; its errands."""
    return await hear(hall.agents, name, said, leads=hall.leads)


@router.get("/{name}/blobs")
async def kept(
    name: Word, digest: Annotated[str, Query(pattern="^[0-9a-f]{64}$")], project: Name, hall: TheHall
) -> list[str]:
    """The names of the objects of a content, in the order in which they are to be put elsewhere."""
    await hall.nodes.check_on(name, project)
    return [one.name for one in await asyncio.to_thread(hall.node_files.kept, project, digest)]


@router.get("/{name}/object", response_class=StreamingResponse)
async def fetch(name: Word, object: Object, project: Name, hall: TheHall) -> StreamingResponse:
    """One object of a content as it lies in the hall."""
    await hall.nodes.check_on(name, project)
    return _file(await asyncio.to_thread(hall.node_files.open_kept, project, object))


@router.put("/{name}/object", status_code=204, openapi_extra=FILE)
async def bring(name: Word, object: Object, project: Name, hall: TheHall, request: Request) -> Response:
    """Bring one object of a content."""
    await hall.nodes.check_on(name, project)
    await hall.node_files.take_object(name, project, object, request.stream())
    return Response(status_code=204)


@router.get("/{name}/state")
async def state(name: Word, project: Name, run: Run, attempt: Attempt, hall: TheHall) -> list[StateFile]:
    """What the earlier attempts of a run have left."""
    return await asyncio.to_thread(hall.node_files.state, await _uid(hall, name, project, run, attempt))


@router.get("/{name}/state/file", response_class=StreamingResponse)
async def fetch_state(
    name: Word, project: Name, run: Run, attempt: Attempt, path: Place, hall: TheHall
) -> StreamingResponse:
    """One file of it."""
    uid = await _uid(hall, name, project, run, attempt)
    return _file(await asyncio.to_thread(hall.node_files.open_state, uid, path))


@router.put("/{name}/state/file", status_code=204, openapi_extra=FILE)
async def bring_state(
    name: Word, project: Name, run: Run, attempt: Attempt, path: Place, hall: TheHall, request: Request
) -> Response:
    """Have a file of it be what is sent."""
    uid = await _uid(hall, name, project, run, attempt)
    await hall.node_files.take_state(uid, path, request.stream())
    return Response(status_code=204)


@router.delete("/{name}/state/file", status_code=204)
async def remove_state(
    name: Word, project: Name, run: Run, attempt: Attempt, path: Place, hall: TheHall
) -> Response:
    """Have a file be no part of it any more."""
    uid = await _uid(hall, name, project, run, attempt)
    await asyncio.to_thread(hall.node_files.remove_state, uid, path)
    return Response(status_code=204)


async def _uid(hall: Hall, node: str, project: str, run: str, attempt: int) -> str:
    """Which run it is; raises Denied unless this attempt of it is on the node."""
    await hall.nodes.check_on(node, project, run, attempt)
    found = await hall.store.get(Key("run", project, run))
    if found is None:
        raise NotFound(f"no run {run}", field="run")
    return found.uid


def _file(file: BinaryIO) -> StreamingResponse:
    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    return StreamingResponse(pieces(), media_type="application/octet-stream")
