"""`hall rollout`: a release on its way to replace another, drawn and steered."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from modelhall.core.kinds.rollout import Canary, Progress
from modelhall.core.rollout_picture import Picture, Side
from modelhall.core.units import show_seconds
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, coloured, out, say, show
from modelhall.doors.client import Hall

BAR_WIDTH = 40
LOOK_S = 1.0
ENDED = (None, "rolled-back")


class Act(StrEnum):
    show = "show"
    promote = "promote"
    abort = "abort"
    pause = "pause"
    resume = "resume"


def add_to(cli: typer.Typer) -> None:
    cli.command()(rollout)


def rollout(
    service: Annotated[str, typer.Argument(help="Its name.")],
    act: Annotated[
        Act, typer.Argument(help="promote: all requests at once; abort: send it back; pause: stay here.")
    ] = Act.show,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on until it is over.")] = False,
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Show how a new version comes into use, or steer it."""
    with Hall(home=home, project=project) as hall:
        if act is not Act.show:
            hall.steer_rollout(service, act.value)
            say(f"service {service}: {act.value} is noted")
            return
        if watch and output is Form.table:
            _watch(hall, service)
            return
        found = hall.rollout(service)
    if output is Form.table:
        out.print(drawn(found))
    else:
        show(output, found.model_dump(mode="json"))


def drawn(picture: Picture) -> RenderableType:
    """What people see of it."""
    head = f"[bold]service {escape(picture.service)}[/]  {coloured(picture.state)}  {escape(picture.reason)}"
    parts: list[RenderableType] = [Text.from_markup(head)]
    if picture.progress is not None and picture.canary is not None:
        parts += [Text(""), _bar(picture.progress), Text(_step(picture.progress, picture.canary, picture.at))]
    parts += [Text(""), _table(picture)]
    if picture.shadow is not None:
        parts += [Text(""), _shadow(picture.shadow)]
    return Group(*parts)


def _watch(hall: Hall, service: str) -> None:
    with Live(console=out, auto_refresh=False) as live:
        while True:
            found = hall.rollout(service)
            live.update(drawn(found), refresh=True)
            if (found.progress.state if found.progress is not None else None) in ENDED:
                return
            time.sleep(LOOK_S)


def _bar(progress: Progress) -> Text:
    new = round(BAR_WIDTH * progress.share)
    colour = "red" if progress.state == "rolled-back" else "cyan"
    bar = f"[green]{'━' * (BAR_WIDTH - new)}[/][{colour}]{'━' * new}[/]"
    return Text.from_markup(f"{bar}  {progress.share:.4g} of the requests to the new one")


def _step(progress: Progress, canary: Canary, now: float) -> str:
    """`step 2 of 3 (5 % → 25 % → 50 %): 1 min 5 s of 5 min`."""
    steps = " → ".join(f"{share:.4g}" for share in canary.steps)
    if progress.state == "rolled-back":
        return f"steps {steps}: rolled back"
    if progress.state == "full":
        return f"steps {steps}: all done well"
    paused = ", paused" if progress.paused else ""
    where = f"step {progress.step + 1} of {len(canary.steps)} ({steps}): {progress.state}{paused}"
    if progress.state == "starting":
        return where
    return f"{where}, {show_seconds(max(0.0, now - progress.since))} of {show_seconds(canary.every_s)}"


def _table(picture: Picture) -> Table:
    needed = f" of {picture.canary.requests}" if picture.canary is not None and picture.progress else ""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("version", "share", "replicas", f"requests{needed}", "failed", "95 % began within"):
        table.add_column(column, justify="left" if column == "version" else "right")
    for side in picture.sides:
        table.add_row(*_cells(side))
    return table


def _cells(side: Side) -> tuple[str, ...]:
    failed = f"{side.failures / side.requests:.2%}" if side.requests else "–"
    began = f"{side.p95_s * 1000:.3g} ms" if side.p95_s else "–"
    return side.name, f"{side.share:.4g}", str(side.ready), f"{side.requests:,}", failed, began


def _shadow(side: Side) -> Text:
    told: list[Any] = [f"{side.requests:,} copies", f"{side.failures:,} failed"]
    if side.compared:
        told.append(f"{side.differing / side.compared:.2%} of {side.compared:,} answers differ")
    if side.p95_s:
        told.append(f"95 % began within {side.p95_s * 1000:.3g} ms")
    told.append(f"{side.dropped:,} dropped")
    return Text(f"shadow {side.name} ({side.share:.4g} of the requests): {', '.join(told)}")
