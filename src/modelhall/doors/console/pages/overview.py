"""The first page: what calls for somebody, what runs, on what, and what it takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.app.hall import Hall
from modelhall.app.monitoring import asked
from modelhall.core.access import Identity
from modelhall.core.kinds.run import ACTIVE
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.doors.console.seen import by_subject

router = pages()

SHOWN = 12
"""Of a kind."""
EVENTS = 14
HOUR_S = 3600.0
MOST = 500


@router.get("/")
async def overview(request: Request, hall: TheHall, who: Who) -> HTMLResponse:
    """What there is to see for whoever asks."""
    runs = await sight.find(hall.store, who, "run", None, resting=False, limit=MOST)
    services = await sight.find(hall.store, who, "service", None, limit=MOST)
    models = await sight.find(hall.store, who, "model", None, limit=MOST)
    datasets = await sight.find(hall.store, who, "dataset", None, limit=MOST)
    seen = by_subject(who, hall)
    return page(
        request,
        "overview.html",
        alerts=[alert for alert in asked.alerts_for(who, hall.alarms)["alerts"] if alert["firing"]],
        amiss=[one for one in (*services, *models, *datasets) if one.status.state in ("failed", "degraded")],
        services=services[:SHOWN],
        counts={"service": len(services), "model": len(models), "dataset": len(datasets)},
        ready=sum(one.status.state == "ready" for one in services),
        working=[run for run in runs if run.status.state in ACTIVE and not run.document.restart][:SHOWN],
        active=sum(run.status.state in ACTIVE for run in runs),
        waiting=sum(run.status.state in ("waiting", "queued") for run in runs),
        nodes=await _nodes(hall, who),
        seen=seen,
        power_w=_power(seen),
        power=await _past_power(hall, who),
        cost=await _cost(hall, who),
        events=await sight.events(hall.store, who, None, EVENTS),
    )


async def _nodes(hall: Hall, who: Identity) -> list[Any]:
    return await hall.store.find("node") if "operate" in who.everywhere else []


def _power(seen: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What all nodes draw that he may look at."""
    found = [
        its["power_w"] for subject, its in seen.items() if subject.startswith("node/") and "power_w" in its
    ]
    if not found:
        return None
    return {"value": sum(one["value"] for one in found), "measured": all(one["measured"] for one in found)}


async def _past_power(hall: Hall, who: Identity) -> charts.Chart | None:
    """Of the last hour, of the first node, which in most halls is all there are."""
    nodes = await _nodes(hall, who)
    if not nodes:
        return None
    now = hall.clock.now()
    told = await hall.past.of(who, nodes[0].key.path, "power_w", since=now - HOUR_S, until=now, step_s=60.0)
    return charts.over_time(told["figures"])


async def _cost(hall: Hall, who: Identity) -> dict[str, Any] | None:
    """Of this month up to the last entry, of the whole hall for who runs it, else of his own project."""
    instant = datetime.fromtimestamp(hall.clock.now(), UTC)
    since = instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    everything = "operate" in who.everywhere
    if not everything and not who.may("see", who.project):
        return None
    return await hall.accounts.bill("use", None if everything else who.project, since, settled=False)
