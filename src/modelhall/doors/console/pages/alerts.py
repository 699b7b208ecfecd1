"""Alerts: what calls for somebody, what nobody is told of for a while, and the rules."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from modelhall.app.monitoring import asked
from modelhall.app.monitoring.alarms import rules_of
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages

router = pages()


@router.get("/alerts")
async def alerts(request: Request, hall: TheHall, who: Who) -> HTMLResponse:
    """Those about what he may look at."""
    told = asked.alerts_for(who, hall.alarms)
    return page(
        request,
        "alerts.html",
        alerts=sorted(told["alerts"], key=lambda alert: (not alert["firing"], alert["since"])),
        silences=told["silences"],
        rules=rules_of(hall.settings),
    )
