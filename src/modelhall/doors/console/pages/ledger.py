"""The ledger: what was used and what it cost, by whatever one likes; and the receipt of one request."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from modelhall.core.errors import Rejected
from modelhall.core.ports.book import By
from modelhall.doors.api.asking import TheHall
from modelhall.doors.api.permissions import Who
from modelhall.doors.console.rendering import page
from modelhall.doors.console.routing import pages
from modelhall.ledger.export import Form
from modelhall.trust.permissions import check, check_operator

router = pages()

WAYS: tuple[By, ...] = ("service", "model", "run", "user", "project", "node", "use")


@router.get("/ledger")
async def ledger(
    request: Request,
    hall: TheHall,
    who: Who,
    by: By = "service",
    project: Annotated[str | None, Query(max_length=63)] = None,
    since: Annotated[str, Query(max_length=10)] = "",
    until: Annotated[str, Query(max_length=10)] = "",
) -> HTMLResponse:
    """A bill, of this month if no days are given: of one project, or of the whole hall for its operators."""
    project = project or (None if "operate" in who.everywhere else who.project)
    check_operator(who) if project is None else check(who, "see", project)
    today = datetime.fromtimestamp(hall.clock.now(), UTC).date()
    begin, end = _day(since, today.replace(day=1)), _day(until, today)
    begins, ends = _instant(begin), _instant(end + timedelta(days=1))
    bill = await hall.accounts.bill(by, project, begins, ends)
    asked = {"by": by, "since": begins, "until": ends, **({"project": project} if project else {})}
    return page(
        request,
        "ledger.html",
        bill=bill,
        by=by,
        ways=WAYS,
        project=project,
        since=begin.isoformat(),
        until=end.isoformat(),
        exports={
            form.value: f"/api/v1/bill/export?{urlencode(asked | {'form': form.value})}" for form in Form
        },
        most=max((line["cost_nano"] for line in bill["lines"]), default=0),
    )


@router.get("/requests")
async def find(request: Annotated[str, Query(pattern="^[A-Za-z0-9._-]{1,100}$")]) -> RedirectResponse:
    """From the field where an id is entered to its receipt."""
    return RedirectResponse(f"/requests/{request}", status_code=303)


@router.get("/requests/{id}")
async def receipt(request: Request, id: str, hall: TheHall, who: Who) -> HTMLResponse:
    """From one answer back to its data, with what each step cost."""
    trace = await hall.accounts.trace(id, lambda project: who.may("see", project))
    return page(request, "request.html", trace=trace)


def _day(text: str, otherwise: date) -> date:
    try:
        return date.fromisoformat(text) if text else otherwise
    except ValueError:
        raise Rejected(f"a day is written as 2026-11-30, not {text!r}", field="since") from None


def _instant(day: date) -> float:
    return datetime.combine(day, time(), UTC).timestamp()
