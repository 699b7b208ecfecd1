"""Projects with their members, budgets and tokens; and, for operators, the users."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.app.hall import Hall
from modelhall.core.access import VERBS_OF, Identity
from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.trust.sessions import LABELS

router = pages()

MOST = 500


@router.get("/projects")
async def projects(request: Request, hall: TheHall, who: Who) -> HTMLResponse:
    """Those he has a part in."""
    found = await sight.find(hall.store, who, "project", None, limit=MOST)
    operates = "operate" in who.everywhere
    return page(
        request,
        "projects.html",
        projects=found,
        used={one.key.name: await hall.allowances.used(one.key) for one in found},
        tokens=await _tokens(hall, who),
        users=await hall.store.find("user", limit=MOST) if operates else [],
        manages=_managed(who, found),
        roles=list(VERBS_OF),
    )


async def _tokens(hall: Hall, who: Identity) -> list[AnyResource]:
    """Those of projects he manages; sessions are tokens too, and of no interest here."""
    found = await sight.find(hall.store, who, "token", None, limit=MOST)
    return [token for token in found if token.document.labels != LABELS]


def _managed(who: Identity, projects: Sequence[AnyResource]) -> list[str]:
    """The projects whose tokens he may make."""
    names = {DEFAULT_PROJECT, *(one.key.name for one in projects)}
    return sorted(name for name in names if who.may("manage", name))
