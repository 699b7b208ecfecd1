"""`hall queue`: whose share is how large, against what it should be."""

from __future__ import annotations

import typer

from modelhall.core.queue_picture import ProjectPicture
from modelhall.doors.cli.terminal import Form, Home, Output, show
from modelhall.doors.client import Hall

COLUMNS = ("project", "weight", "due", "holds", "lately", "CPUs", "GPUs", "running", "waiting")


def add_to(cli: typer.Typer) -> None:
    cli.command()(queue)


def queue(output: Output = Form.table, home: Home = None) -> None:
    """Show what each project holds, and has held lately, against its weight."""
    with Hall(home=home) as hall:
        found = hall.queue()
    show(output, found.model_dump(mode="json"), COLUMNS, [_row(one) for one in found.projects])


def _row(one: ProjectPicture) -> tuple[str, ...]:
    return (
        one.project,
        f"{one.weight:g}",
        f"{one.due:.0%}",
        f"{one.holds:.0%}",
        f"{one.lately:.0%}",
        _of(one.cpus, one.most_cpus, one.borrows),
        _of(one.gpus, one.most_gpus, one.borrows),
        str(one.running),
        str(one.waiting),
    )


def _of(held: float, most: float | None, borrows: bool) -> str:
    """What is held, of what may be held or is the project's own."""
    if most is None:
        return f"{held:g}"
    return f"{held:g} of {'its own ' if borrows else ''}{most:g}"
