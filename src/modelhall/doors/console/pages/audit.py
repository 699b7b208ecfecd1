"""The audit log: who did what, and whether the log is what was written. For operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.app.audit.reading import Wanted
from modelhall.doors.api.asking import TheHall
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages

router = pages()

PAGE = 100


@router.get("/audit")
async def audit(
    request: Request,
    hall: TheHall,
    by: Annotated[str, Query(max_length=200)] = "",
    project: Annotated[str, Query(max_length=63)] = "",
    before: Annotated[int | None, Query(ge=1, le=10**18)] = None,
) -> HTMLResponse:
    """A page of it, newest first."""
    wanted = Wanted(who=by or None, project=project or None)
    found = await hall.auditing.page(wanted, limit=PAGE, before=before)
    return page(
        request,
        "audit.html",
        entries=found.entries[::-1],
        following=found.next,
        unreadable=found.unreadable,
        by=by,
        project=project,
    )
