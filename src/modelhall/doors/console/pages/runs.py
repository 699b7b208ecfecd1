"""Runs: what is at work, what waits and why, what is over; and one of them with its curves and its log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from modelhall.app import sight
from modelhall.app.hall import Hall
from modelhall.control.runs import attempt_id
from modelhall.core.access import Identity
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.core.kinds.run import DONE, RunResource
from modelhall.core.ports.launcher import LogPart
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console import charts
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.doors.console.seen import by_subject
from modelhall.doors.reasons import Around, explain

router = pages()

PAGE = 50
MOST_ALIVE = 200
LOG_BYTES = 32_768
EVENTS = 30


@router.get("/runs")
async def runs(
    request: Request,
    hall: TheHall,
    who: Who,
    project: Annotated[str | None, Query(max_length=63)] = None,
    state: Annotated[str | None, Query(max_length=20)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> HTMLResponse:
    """Those that are not over, with what they wait for; and a page of the others, those that ended last first."""
    project, state = project or None, state if state in DONE else None
    alive = await sight.find(hall.store, who, "run", project, resting=False, limit=MOST_ALIVE)
    around = await _around(hall, who, alive)
    now = hall.clock.now()
    found, following = await _over(hall, who, project, state, before)
    return page(
        request,
        "runs.html",
        alive=sorted(alive, key=lambda run: (run.document.restart, run.created_at)),
        told={run.key.path: explain(run, around, now) for run in alive},
        seen=by_subject(who, hall),
        over=found,
        following=following,
        project=project,
        state=state,
        states=DONE,
        is_first=before is None,
    )


async def _over(
    hall: Hall, who: Identity, project: str | None, state: str | None, before: int | None
) -> tuple[list[RunResource], int | None]:
    """A page of runs that have ended, and what the next one begins before."""
    found: list[RunResource] = []
    while len(found) <= PAGE:
        part = await sight.latest(hall.store, who, "run", project, state=state, before=before, limit=PAGE + 1)
        # Those that are alive stand above; they are few, so it seldom takes a second look.
        found += [run for run in part if run.status.state in DONE]
        if len(part) <= PAGE:
            break
        before = part[-1].revision
    return found[:PAGE], found[PAGE - 1].revision if len(found) > PAGE else None


@router.get("/runs/{project}/{name}")
async def run(request: Request, project: str, name: str, hall: TheHall, who: Who) -> HTMLResponse:
    """One run: why it is as it is, how far, what it has told so far."""
    key = Key("run", project, name)
    found: RunResource | None = await hall.store.get(key)
    if found is None:
        raise NotFound(f"no {key}")
    curves = await hall.reports.reported(attempt_id(found))
    log = await _log(hall, found)
    around = await _around(hall, who, [found])
    return page(
        request,
        "run.html",
        run=found,
        told=explain(found, around, hall.clock.now()),
        loss=charts.losses(curves),
        measured=charts.validated(curves),
        figures=by_subject(who, hall).get(key.path, {}),
        log=log.data.decode(errors="replace"),
        log_offset=log.offset + len(log.data),
        is_over=found.status.state in DONE,
        may_change=who.may("change", project),
        events=await hall.store.events(key, EVENTS),
    )


async def _around(hall: Hall, who: Identity, runs: list[Any]) -> Around:
    """What runs that wait share the hall with; nothing is looked up where none waits."""
    if not any(run.status.state == "queued" for run in runs):
        return Around()
    return Around(
        alive=await sight.find(hall.store, who, "run", None, resting=False, limit=MOST_ALIVE),
        nodes=await sight.find(hall.store, who, "node", None, limit=MOST_ALIVE),
        projects=await sight.find(hall.store, who, "project", None, limit=MOST_ALIVE),
    )


async def _log(hall: Hall, run: RunResource) -> LogPart:
    """The end of what the newest attempt has said."""
    id = attempt_id(run)
    begin, end = 0, LOG_BYTES
    # How long it is nobody tells; where it ends is found by looking for the first place with nothing behind it.
    while (await hall.launcher.log(id, end, 1)).data:
        begin, end = end, end * 2
    while end - begin > 1:
        middle = (begin + end) // 2
        if (await hall.launcher.log(id, middle, 1)).data:
            begin = middle
        else:
            end = middle
    return await hall.launcher.log(id, max(0, end - LOG_BYTES), LOG_BYTES)
