"""Services: replicas, how they answer, and a box to try each with."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.app.hall import Hall
from modelhall.core.access import Identity
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import ServiceResource, asked_for
from modelhall.core.names import split_reference
from modelhall.core.ports.history import Span
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.doors.console.seen import by_subject

router = pages()

MOST = 500
EVENTS = 20
HOUR_S = 3600.0
FIGURES = {"requests_s": 1.0, "latency_p95_s": 1000.0, "tokens_s": 1.0, "failed_share": 100.0}
"""Those that are drawn, and what each is multiplied by to be read."""


@router.get("/services")
async def services(
    request: Request, hall: TheHall, who: Who, project: Annotated[str | None, Query(max_length=63)] = None
) -> HTMLResponse:
    """All that he may see."""
    found = await sight.find(hall.store, who, "service", project or None, limit=MOST)
    return page(
        request,
        "services.html",
        services=found,
        asked_for=asked_for,
        seen=by_subject(who, hall),
        project=project,
    )


@router.get("/services/{project}/{name}")
async def service(request: Request, project: str, name: str, hall: TheHall, who: Who) -> HTMLResponse:
    """One of them."""
    key = Key("service", project, name)
    found: ServiceResource | None = await hall.store.get(key)
    if found is None:
        raise NotFound(f"no {key}")
    model = await hall.store.get(Key("model", project, split_reference(found.document.model)[0]))
    return page(
        request,
        "service.html",
        service=found,
        asked_for=asked_for(found),
        task=model.document.task if model is not None else "",
        figures=by_subject(who, hall).get(key.path, {}),
        past=await _past(hall, who, key),
        limits=await hall.allowances.used(key),
        rollout=await hall.rollouts.told(key) if found.status.rollout else None,
        gateway=hall.addresses["gateway"],
        called=name if project == who.project else f"{project}.{name}",
        may_use=who.may("use", project),
        may_change=who.may("change", project),
        events=await hall.store.events(key, EVENTS),
    )


async def _past(hall: Hall, who: Identity, key: Key) -> dict[str, Any]:
    """The last hour, by figure; those that were never anything but zero are left out."""
    now = hall.clock.now()
    told = await hall.past.of(who, key.path, None, since=now - HOUR_S, until=now, step_s=60.0)
    found = {}
    for figure, times in FIGURES.items():
        spans = [
            Span(span.at, span.mean * times, span.least * times, span.most * times)
            for span in told["figures"].get(figure, ())
        ]
        if any(span.most for span in spans):
            found[figure] = charts.over_time({figure: spans})
    return found
