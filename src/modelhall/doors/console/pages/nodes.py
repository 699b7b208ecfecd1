"""Nodes: what each has, what is in use, what it draws, now and over the last hours. For operators."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from modelhall.app.hall import Hall
from modelhall.app.monitoring import asked
from modelhall.core.access import Identity
from modelhall.core.kinds import Key
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.measures import measure
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.doors.console.seen import by_subject

router = pages()

PAST_S, STEP_S = 6 * 3600.0, 120.0
DRAWN = ("power_w", "cpus_used")
MOST_DRAWN = 20
"""Nodes whose past is drawn on one page."""


@router.get("/nodes")
async def nodes(request: Request, hall: TheHall, who: Who) -> HTMLResponse:
    """All of them, with the runs they hold."""
    found = await hall.store.find("node")
    runs = [run for run in await hall.store.find("run", resting=False) if run.status.state in ACTIVE]
    raw = asked.seen_by(who, hall.watching.seen)
    return page(
        request,
        "nodes.html",
        nodes=found,
        seen=by_subject(who, hall),
        parts_of={path: [one for one in its if _is_device(one)] for path, its in raw.items()},
        runs={node.key.name: [run for run in runs if run.status.node == node.key.name] for node in found},
        past={node.key.path: await _past(hall, who, node.key) for node in found[:MOST_DRAWN]},
    )


def _is_device(figure: dict[str, Any]) -> bool:
    """Whether it is what one of several devices is like now, such as a GPU; counters tell nothing by themselves."""
    known = measure("node", figure["name"])
    return bool(figure["part"]) and known is not None and not known.is_counter and known.metric != ""


async def _past(hall: Hall, who: Identity, key: Key) -> dict[str, Any]:
    now = hall.clock.now()
    drawn = {}
    for figure in DRAWN:
        told = await hall.past.of(who, key.path, figure, since=now - PAST_S, until=now, step_s=STEP_S)
        drawn[figure] = charts.over_time(told["figures"])
    return drawn
