"""Routes for what is seen of nodes, runs and services: now, and as it was."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from modelhall.app.monitoring import asked
from modelhall.core.kinds import KINDS
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who

router = APIRouter(prefix="/api/v1")

Instant = Annotated[
    float | None, Query(ge=0, le=1e12, allow_inf_nan=False, description="In seconds since the epoch.")
]
HOUR_S = 3600.0


@router.get("/figures")
async def figures(hall: TheHall, who: Who) -> dict[str, list[dict[str, Any]]]:
    """What was seen at the last look, by subject, as far as you may see it. Each figure says whether it was measured,
    and by what."""
    return asked.seen_by(who, hall.watching.seen)


@router.get("/history")
async def history(
    hall: TheHall,
    who: Who,
    subject: Annotated[
        str,
        Query(
            max_length=300,
            description="Such as `node/default/local`, or `hall`.",
            json_schema_extra={"pattern": f"^(hall|({'|'.join(KINDS)})/[a-z]+/[a-z]+)$"},
        ),
    ],
    name: Annotated[
        str | None, Query(max_length=300, description="One figure, such as `power_w`; all if not given.")
    ] = None,
    since: Instant = None,
    until: Instant = None,
    step_s: Annotated[float, Query(ge=1, le=1e7, allow_inf_nan=False)] = 60.0,
) -> dict[str, Any]:
    """What a subject's figures were, by steps: `[begin, mean, least, most]` each; of the last hour if not told.
    `step_s` says how wide the steps are: wider than asked for where there would be too many."""
    until = hall.clock.now() if until is None else until
    since = max(0.0, until - HOUR_S) if since is None else since
    return await hall.past.of(who, subject, name, since=since, until=until, step_s=step_s)


@router.get("/doctor")
async def doctor(hall: TheHall) -> dict[str, list[dict[str, str]]]:
    """What in this hall is not as good practice has it, the most urgent first, each with what to do."""
    return {"findings": await hall.examined()}
