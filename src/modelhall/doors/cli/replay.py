"""`hall replay`: what the scheduler decided, decided again on the facts it was decided on. Needs no hall."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from modelhall.app import decisions
from modelhall.app.decisions import Recorded
from modelhall.core.errors import Failed
from modelhall.doors.cli.terminal import Form, Output, show
from modelhall.policy.deciding import Policy, named

COLUMNS = ("when", "policy", "waiting", "started", "made room", "again")


def add_to(cli: typer.Typer) -> None:
    cli.command()(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="A day of decisions, from the hall's folder decisions/.")],
    policy: Annotated[
        str | None,
        typer.Option(help="Another policy, such as fair+best-fit; the one that decided if not given."),
    ] = None,
    output: Output = Form.table,
) -> None:
    """Decide again on recorded facts, and tell where it comes out otherwise. Exits with 1 if the same policy does."""
    told = list(_told(file, named(policy) if policy else None))
    show(output, told, COLUMNS, [_row(one) for one in told])
    differing = sum(one["again"] == "otherwise" for one in told)
    if differing and policy is None:
        raise Failed(f"{differing} of {len(told)} rounds come out otherwise on the same facts")


def _told(file: Path, other: Policy | None) -> Iterator[dict[str, Any]]:
    for one in decisions.read(file):
        found = decisions.again(one, other or named(one.policy))
        yield {
            "at": one.at,
            "policy": one.policy,
            "waiting": len(one.facts.queue) if one.facts else None,
            "started": [placed.run for placed in one.started],
            "made_room": [gone.run for gone in one.made_room],
            "again": "not known" if found is None else "the same" if _same(one, found) else "otherwise",
            "started_again": [placed.run for placed in found.started] if found else None,
        }


def _same(one: Recorded, other: Recorded) -> bool:
    return (one.started, one.made_room) == (other.started, other.made_room)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    when = datetime.fromtimestamp(one["at"]).astimezone().strftime("%H:%M:%S")
    waiting = "" if one["waiting"] is None else str(one["waiting"])
    return when, one["policy"], waiting, ", ".join(one["started"]), ", ".join(one["made_room"]), one["again"]
