"""The route for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from modelhall.doors.api.asking import TheHall
from modelhall.monitoring import exposition

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(hall: TheHall) -> PlainTextResponse:
    """Resources by kind and state, and all that was seen at the last look, in Prometheus' text format."""
    counts = sorted((await hall.store.counts()).items())
    rows = [({"kind": kind, "state": state}, count) for (kind, state), count in counts]
    lines = [
        *exposition.family("resources", "gauge", "Resources by kind and state.", rows),
        *exposition.exposed(hall.watching.seen),
        *exposition.firing(hall.alarms.firing),
    ]
    return PlainTextResponse("\n".join(lines) + "\n", media_type=exposition.CONTENT_TYPE)
