"""Commands about alerts: alerts, silence, unsilence."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelhall.doors.cli.terminal import Form, Home, Output, age, err, say, show
from modelhall.doors.client import Hall

COLUMNS = ("rule", "subject", "state", "for", "message")
SILENCES = ("silence", "rule", "subject", "by", "reason")


def add_to(cli: typer.Typer) -> None:
    for command in (alerts, silence, unsilence):
        cli.command()(command)


def alerts(output: Output = Form.table, home: Home = None) -> None:
    """What calls for somebody now."""
    with Hall(home=home) as hall:
        found = hall.figures.alerts()
    if output is not Form.table:
        show(output, found)
        return
    if not found["alerts"]:
        err.print("no alerts", style="dim")
    else:
        show(output, found, COLUMNS, [_row(alert) for alert in found["alerts"]])
    if found["silences"]:
        rows = [tuple(str(one[name]) for name in ("id", *SILENCES[1:])) for one in found["silences"]]
        show(output, found, SILENCES, rows)


def silence(
    rule: Annotated[str, typer.Argument(help="The name of a rule, or '*' for all.")],
    subject: Annotated[str, typer.Option(help="Such as node/default/local; all if not given.")] = "*",
    minutes: Annotated[float, typer.Option(min=1, help="For how long.")] = 60,
    reason: Annotated[str, typer.Option(help="For whoever wonders.")] = "",
    home: Home = None,
) -> None:
    """Have nobody be told of some alerts for a while; they are shown all the same."""
    with Hall(home=home) as hall:
        made = hall.figures.silence(rule, subject=subject, for_s=minutes * 60, reason=reason)
    say(f"silent for {minutes:g} min; `hall unsilence {made['id']}` ends it")


def unsilence(
    silence: Annotated[str, typer.Argument(help="Its id, as `hall alerts` shows it.")], home: Home = None
) -> None:
    """Have people be told again."""
    with Hall(home=home) as hall:
        hall.figures.end_silence(silence)
    say("people are told again")


def _row(alert: dict[str, Any]) -> tuple[str, ...]:
    state = alert["severity"] if alert["firing"] else "pending"
    if alert["silenced"]:
        state += ", silenced"
    subject = f"{alert['subject']} {alert['part']}".rstrip()
    return alert["rule"], subject, state, age(alert["since"]), alert["message"]
