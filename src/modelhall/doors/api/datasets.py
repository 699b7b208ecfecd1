"""Routes that look into data sets, and that erase rows from them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from modelhall.app.erasing import LONGEST_WHERE, Found
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT, Frozen
from modelhall.core.kinds.dataset import Split
from modelhall.core.looking import Form
from modelhall.doors.api.asking import OnceOnly, OnRecord, Project, TheHall
from modelhall.doors.api.permissions import Who

router = APIRouter(prefix="/api/v1/datasets/{name}")

MOST_ROWS = 1000
WORD = "^([1-9][0-9]{0,2}|[0-9a-f]{4,64})$"
Version = Annotated[
    str | None,
    Query(
        pattern=WORD,
        description="2 for the second that was made, or how its id begins; else the current one.",
    ),
]


class Meaning(Frozen):
    """Which rows are to be erased."""

    where: str = Field(max_length=LONGEST_WHERE, description="An expression, as in `derive`, true of them.")
    dry_run: bool = False


@router.get("/rows")
async def rows(
    name: str,
    hall: TheHall,
    project: Project = DEFAULT_PROJECT,
    version: Version = None,
    split: Split = "train",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 5,
) -> list[dict[str, Any]]:
    """The first rows of a split of a version, to look at; bytes come as base64."""
    return await hall.looking.rows(Key("dataset", project, name), version, split, limit)


@router.get("/record")
async def record(
    name: str, hall: TheHall, project: Project = DEFAULT_PROJECT, version: Version = None
) -> dict[str, Any]:
    """What a version tells of itself: steps and what they dropped, columns, statistics, digests of its sources."""
    return await hall.looking.record(Key("dataset", project, name), version)


@router.get("/compare")
async def compare(
    name: str,
    hall: TheHall,
    before: Annotated[str, Query(pattern=WORD)],
    project: Project = DEFAULT_PROJECT,
    after: Version = None,
    examples: Annotated[int, Query(ge=0, le=100)] = 3,
) -> dict[str, Any]:
    """What differs between two versions."""
    return await hall.looking.compare(Key("dataset", project, name), before, after, examples)


@router.get("/export", response_class=StreamingResponse)
async def export(
    name: str,
    hall: TheHall,
    project: Project = DEFAULT_PROJECT,
    version: Version = None,
    split: Split | None = None,
    form: Form = "parquet",
) -> StreamingResponse:
    """The files of a version, as a tar whose last file is `dataset.json`."""
    pieces = await hall.looking.export(Key("dataset", project, name), version, split, form)
    return StreamingResponse(pieces, media_type="application/x-tar")


@router.post("/erase")
async def erase(
    name: str,
    meaning: Meaning,
    hall: TheHall,
    once: OnceOnly,
    who: Who,
    written: OnRecord,
    request: Request,
    project: Project = DEFAULT_PROJECT,
) -> Found:
    """Have rows be in no version any more; or only say how many they are, and what descends from them."""
    key = Key("dataset", project, name)
    if meaning.dry_run:
        return await hall.erasing.find(key, meaning.where)
    found = await hall.erasing.record(key, meaning.where, by=who.name, once=once, written=written)
    revisions = getattr(request.state, "revisions", {})
    # Who erased what is in the audit log for good; what it was, only as far as this tells.
    request.state.revisions = {**revisions, f"erasure/{found.erasure}": revisions.get(key.path, 0)}
    return found
