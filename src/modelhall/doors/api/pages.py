"""Routes for machines and visitors that are not about one resource: the status page at `/`, and `/metrics`."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, PlainTextResponse

from modelhall.app import sight
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.monitoring import exposition

router = APIRouter(include_in_schema=False)

ROWS = 200
"""Of a kind, at most, on the page."""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Modelhall</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} td {{ border-top: 1px solid #8883; padding: .3rem .8rem .3rem 0 }}
</style>
<h1>Modelhall</h1>
<p>The hall is up. Its API is described at <a href="/api/openapi.json">/api/openapi.json</a>.</p>
<table>{rows}</table>
</html>"""


@router.get("/")
async def page(hall: TheHall, who: Who) -> HTMLResponse:
    """What there is, on one plain page."""
    rows = []
    for kind in ("dataset", "model", "service", "run", "node"):
        for resource in await sight.find(hall.store, who, kind, None, limit=ROWS):
            cells = (kind, resource.key.name, resource.status.state, resource.status.reason)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HTMLResponse(PAGE.format(rows="\n".join(rows)), headers=policy)


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
