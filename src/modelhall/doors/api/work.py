"""Routes for runs, and for what it all cost."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query
from fastapi.responses import Response

from modelhall.control.runs import attempt_id
from modelhall.core.errors import NotFound, NotNow
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.book import By
from modelhall.doors.api.asking import OnceOnly, OnRecord, Project, TheHall
from modelhall.doors.api.monitoring import Instant
from modelhall.doors.api.permissions import Who
from modelhall.doors.api.resources import Done
from modelhall.ledger.export import Form, exported
from modelhall.trust.permissions import check, check_operator

router = APIRouter(prefix="/api/v1")

Grouping = Annotated[str, Query(json_schema_extra={"enum": list(get_args(By))})]


@router.post("/runs/{name}/cancel")
async def cancel(
    name: str, hall: TheHall, once: OnceOnly, written: OnRecord, project: Project = DEFAULT_PROJECT
) -> Done:
    """Have a run stop and not be started again."""
    return Done(outcomes=await hall.cancel(Key("run", project, name), once=once, written=written))


@router.post("/runs/{name}/resume")
async def resume(
    name: str, hall: TheHall, once: OnceOnly, written: OnRecord, project: Project = DEFAULT_PROJECT
) -> Done:
    """Have a run that was cancelled go on from what its attempts kept."""
    return Done(outcomes=await hall.resume(Key("run", project, name), once=once, written=written))


@router.get("/runs/{name}/log")
async def log(
    name: str,
    hall: TheHall,
    project: Project = DEFAULT_PROJECT,
    attempt: Annotated[int | None, Query(ge=1, le=10**9)] = None,
    offset: Annotated[int, Query(ge=0, le=10**18)] = 0,
) -> Response:
    """A run's output from byte `offset` on; of its newest attempt unless another is named.

    `X-Log-Offset` says where it really starts: later where older output is no longer kept.
    """
    run = await hall.store.get(Key("run", project, name))
    if run is None:
        raise NotFound(f"no run {name}")
    part = await hall.launcher.log(attempt_id(run, attempt), offset)
    where = {"x-log-offset": str(part.offset)}
    return Response(part.data, media_type="text/plain; charset=utf-8", headers=where)


@router.get("/bill")
async def bill(
    hall: TheHall,
    who: Who,
    by: Grouping = "service",
    project: str | None = None,
    since: Instant = None,
    until: Instant = None,
) -> dict[str, Any]:
    """What was used, and what it cost, up to now or between two instants: of a project, or of the whole hall for its
    operators."""
    check_operator(who) if project is None else check(who, "see", project)
    return await hall.accounts.bill(by, project, since, until)


class Csv(Response):
    media_type = "text/csv"


@router.get("/bill/export", response_class=Csv)
async def export(
    hall: TheHall,
    who: Who,
    form: Form = Form.csv,
    by: Grouping = "service",
    project: str | None = None,
    since: Instant = None,
    until: Instant = None,
) -> Response:
    """The same as a file: CSV for a spreadsheet, or FOCUS 1.0 for tools of FinOps."""
    found = await bill(hall, who, by, project, since, until)
    text = exported(found, form, hall=hall.addresses["address"], project=project, now=hall.clock.now())
    named = {"content-disposition": f'attachment; filename="bill-by-{found["by"]}.{form}.csv"'}
    return Csv(text, headers=named)


@router.get("/trace/{request}")
async def trace(request: str, hall: TheHall, who: Who) -> dict[str, Any]:
    """From an answer back to its data."""
    return await hall.accounts.trace(request, lambda project: who.may("see", project))


@router.get("/status")
async def status(hall: TheHall, who: Who) -> dict[str, Any]:
    """What the hall is doing, as far as you may see it."""
    return await hall.status(who)


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the control plane answers."""
    return {"status": "ok"}


@router.get("/ready")
async def ready(hall: TheHall) -> dict[str, str]:
    """Whether this control plane acts on what is declared, or stands by to do so."""
    if not hall.leads:
        return {"status": "standby"}
    if not hall.plane.is_ready:
        raise NotNow("the hall is reading what there is; it will act in a moment", delay_s=1.0)
    return {"status": "ready"}
