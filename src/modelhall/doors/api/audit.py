"""Routes for the audit log: its entries, a head to keep elsewhere, and the proof. Who may read them is left to the
guard, what is written to whoever does something."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from modelhall.app.audit.reading import Page, Wanted
from modelhall.doors.api.asking import TheHall
from modelhall.trust.audit.heads import Head, head_from_json
from modelhall.trust.audit.proof import Verdict

router = APIRouter(prefix="/api/v1/audit")

PAGE = 100
LONGEST_PAGE = 1000


@router.get("")
async def entries(
    hall: TheHall,
    who: Annotated[str | None, Query(description="A part of the name.")] = None,
    project: Annotated[str | None, Query(description="The project of what it was done to.")] = None,
    since: Annotated[float | None, Query(ge=0, le=1e12, description="In seconds since the epoch.")] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = PAGE,
    before: Annotated[
        int | None, Query(ge=1, le=10**18, description="The `next` of a page: what is older.")
    ] = None,
) -> Page:
    """Who did what, the newest entries, oldest first. A page may be short, or empty, while older ones follow."""
    wanted = Wanted(who=who, project=project, since=since)
    return await hall.auditing.page(wanted, limit=limit, before=before)


@router.get("/head")
async def head(hall: TheHall) -> Head:
    """A signed head of the log as it is now. Keep it elsewhere: it shows what was cut off or written anew later."""
    return await hall.auditing.head()


@router.get("/verify")
async def verify(
    hall: TheHall,
    head: Annotated[
        str | None, Query(max_length=1000, description="A head kept elsewhere, as it was given, in JSON.")
    ] = None,
    archived: Annotated[bool, Query(description="Older parts of the log may be elsewhere.")] = False,
) -> Verdict:
    """Whether the log is what was written; `wrong` names the first entry that is not."""
    return await hall.auditing.verify(None if head is None else head_from_json(head), archived=archived)
