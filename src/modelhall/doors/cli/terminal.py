"""How commands print: tables and plain lines for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modelhall.core.errors import HallError, Rejected
from modelhall.core.kinds.base import DEFAULT_PROJECT

WIDTH_ELSEWHERE = 160
"""Columns of a table that is not printed on a terminal."""


class _Console(Console):
    """Rich's, but whoever reads us may go away, as in `hall events | head`; `main` knows that this is no failure."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)
err = _Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else WIDTH_ELSEWHERE)


class Form(StrEnum):
    table = "table"
    json = "json"
    yaml = "yaml"


Output = Annotated[Form, typer.Option("--output", "-o", help="table, json or yaml.")]
Home = Annotated[str | None, typer.Option("--home", help="The hall's home; MODELHALL_HOME otherwise.")]
Project = Annotated[str, typer.Option("--project", "-p", help="The project to look in.")]
IN_DEFAULT = DEFAULT_PROJECT
Labels = Annotated[
    list[str] | None, typer.Option("--label", "-l", help="key=value; may be given several times.")
]

STATE_COLOUR = {
    "ready": "green", "succeeded": "green", "running": "cyan", "starting": "cyan", "preparing": "cyan",
    "training": "cyan", "searching": "cyan", "evaluating": "cyan", "failed": "red", "refused": "red", "lost": "red",
    "degraded": "yellow", "rolling": "cyan", "cancelled": "yellow", "removed": "yellow",
}  # fmt: skip


def show(form: Form, data: Any, columns: Sequence[str] = (), rows: Sequence[Sequence[str]] = ()) -> None:
    """Print `data` for programs, or the table for people."""
    if form is Form.json:
        out.out(json.dumps(data, ensure_ascii=False), highlight=False)
    elif form is Form.yaml:
        out.out(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), end="", highlight=False)
    elif rows:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(escaped, row))
        out.print(table)
    else:
        err.print("nothing here yet", style="dim")


class _Coloured(str):
    """A cell that is markup already."""


def coloured(state: str) -> str:
    """A state in the colour it has everywhere."""
    colour = STATE_COLOUR.get(state)
    return _Coloured(f"[{colour}]{escape(state)}[/]") if colour else state


def escaped(cell: str) -> str:
    """A cell as markup."""
    return cell if isinstance(cell, _Coloured) else escape(cell)


def say(text: str) -> None:
    """One plain line."""
    out.print(escape(text))


def labels_of(words: list[str] | None) -> dict[str, str]:
    """Labels from the command line; raises Rejected for what is no key=value."""
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise Rejected(f"a label is written key=value, not {word!r}", field="label")
        found[key] = value
    return found


def complain(error: HallError) -> None:
    """One error, on standard error."""
    err.print(f"[bold red]hall:[/] {escape(str(error))}", soft_wrap=True)


def age(since: float) -> str:
    """`3 min`, as short as it can be told."""
    seconds = max(0.0, time.time() - since)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
