"""The command about the hall's health: doctor."""

from __future__ import annotations

import typer
from rich.markup import escape
from rich.padding import Padding

from modelhall.doors.cli.terminal import Form, Home, Output, out, say, show
from modelhall.doors.client import Hall

STYLES = {"now": "bold red", "soon": "yellow", "someday": "dim"}
WRONG = 1
"""The exit code when something calls for somebody now."""


def add_to(cli: typer.Typer) -> None:
    cli.command()(doctor)


def doctor(output: Output = Form.table, home: Home = None) -> None:
    """Hold the hall against good practice: what could be better, and what would do."""
    with Hall(home=home) as hall:
        findings = hall.figures.doctor()
    if output is not Form.table:
        show(output, findings)
    elif not findings:
        say("all is as it should be")
    else:
        for finding in findings:
            _tell(finding)
    if any(finding["urgency"] == "now" for finding in findings):
        raise typer.Exit(WRONG)


def _tell(finding: dict[str, str]) -> None:
    urgency = finding["urgency"]
    subject = "" if finding["subject"] == "hall" else f"{finding['subject']}: "
    style = STYLES[urgency]
    out.print(f"[{style}]{urgency:8}[/] [dim]{finding['area']:11}[/] {escape(subject + finding['says'])}")
    out.print(Padding(f"→ {escape(finding['advice'])}", (0, 0, 0, 21)))
