"""Commands about what it cost: bill, trace."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Any

import typer

from modelhall.core.errors import Rejected
from modelhall.core.units import show_carbon, show_energy, show_money, show_seconds
from modelhall.doors.cli.terminal import Form, Home, Output, out, say, show
from modelhall.doors.client import Hall
from modelhall.ledger.export import Form as ExportForm
from modelhall.ledger.export import exported

BILL_COLUMNS = ("", "requests", "cpu", "gpu", "energy", "CO2", "cost")
INSTANTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
TRACE_COLUMNS = ("", "name", "id", "cpu", "gpu", "energy", "CO2", "cost", "")


def add_to(cli: typer.Typer) -> None:
    cli.command()(bill)
    cli.command()(trace)


def bill(
    by: Annotated[str, typer.Option(help="run, service, model, user, project, node or use.")] = "run",
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="One project; all if not given.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=INSTANTS, help="A day or an instant, as clocks show it here."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", formats=INSTANTS, help="The first that is not in it any more.")
    ] = None,
    export: Annotated[
        ExportForm | None, typer.Option(help="CSV for a spreadsheet, or FOCUS 1.0 for tools of FinOps.")
    ] = None,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """What was used up to now, or between two instants, and what it cost."""
    if since is not None and until is not None and since >= until:
        raise Rejected(f"from {since} to {until} is no time", field="to")
    with Hall(home=home) as hall:
        found = hall.bill(by, project=project, since=_stamp(since), until=_stamp(until))
        address = hall.address
    if export is not None:
        out.file.write(exported(found, export, hall=address, project=project, now=time.time()))
        return
    show(output, found, BILL_COLUMNS, bill_rows(found))
    if output is Form.table:
        say(energy_note(found))


def trace(
    request: Annotated[str, typer.Argument(help="The x-request-id of an answer.")],
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """From an answer back to its data, with what each step cost."""
    with Hall(home=home) as hall:
        found = hall.trace(request)
    show(output, found, TRACE_COLUMNS, trace_rows(found))


def bill_rows(bill: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row a line, the total last."""
    lines = [*bill["lines"], bill["total"]]
    return [(line["name"], str(line["requests"] or ""), *_cost(line, bill["currency"])) for line in lines]


def energy_note(bill: dict[str, Any]) -> str:
    """Whether the joules were measured, and by what."""
    how = "measured" if bill["total"]["measured"] else "estimated (~)"
    return f"energy {how}: {'; '.join(bill['total']['energy_sources']) or 'none yet'}"


def trace_rows(trace: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row a step."""
    return [
        (
            step["what"],
            step["name"],
            step["id"][:12] if step["id"] != step["name"] else "",
            *(_cost(step["cost"], trace["currency"]) if step["cost"] else ("",) * 5),
            step["gone"] or _details(step["details"]),
        )
        for step in trace["steps"]
    ]


def _stamp(at: datetime | None) -> float | None:
    return None if at is None else at.astimezone().timestamp()


def _cost(total: dict[str, Any], currency: str) -> tuple[str, str, str, str, str]:
    about = "" if total["measured"] else "~"
    return (
        f"{total['cpu_s']:.3f} s",
        show_seconds(total["gpu_s"]) if total["gpu_s"] else "",
        about + show_energy(total["energy_j"]),
        about + show_carbon(total["co2_g"]),
        show_money(total["cost_nano"], currency),
    )


def _details(details: dict[str, Any]) -> str:
    shown = {
        name: value
        for name, value in details.items()
        if name in ("status", "metrics", "rows", "size_bytes", "state", "energy_j_per_1000_tokens")
    }
    return ", ".join(f"{name} {_told(value)}" for name, value in shown.items())


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {_told(inner)}" for name, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
