"""Commands about what it cost: bill, trace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelhall.core.units import show_carbon, show_energy, show_money
from modelhall.doors.cli.terminal import Home, Output, show
from modelhall.doors.client import Hall


def add_to(cli: typer.Typer) -> None:
    cli.command()(bill)
    cli.command()(trace)


def bill(
    by: Annotated[str, typer.Option(help="project, service, run, node or use.")] = "run",
    project: Annotated[str | None, typer.Option("--project", "-p", help="One project; all if not given.")] = None,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """What was used up to now, and what it cost."""
    with Hall(home=home) as hall:
        found = hall.bill(by, project=project)
    show(output, found, ("", "requests", "cpu", "energy", "CO2", "cost"), bill_rows(found))
