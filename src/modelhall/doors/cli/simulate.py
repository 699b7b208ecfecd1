"""`hall simulate`: policies tried on a trace of jobs, by the code that decides in a hall. Needs no hall."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from modelhall.core.errors import Rejected
from modelhall.core.units import show_seconds
from modelhall.doors.cli import pictures
from modelhall.doors.cli.terminal import Form, Output, say, show
from modelhall.policy.deciding import USUAL_PLACEMENT, parts_of
from modelhall.policy.schedule import Room
from modelhall.twin import traces
from modelhall.twin.figures import figures
from modelhall.twin.replay import Expects, Played, play

COLUMNS = (
    "policy",
    "jobs",
    "mean completion",
    "p99",
    "mean wait",
    "makespan",
    "used",
    "fairness",
    "made room",
)
MORE = re.compile(r"(\d+)x(\d+)(?:x([A-Za-z0-9-]+))?")
"""`2x8xH100`: two nodes with eight of them each."""


def add_to(cli: typer.Typer) -> None:
    cli.command()(simulate)


def simulate(
    trace: Annotated[Path, typer.Option(help="CSV of jobs: a plain one, Philly's or openb's.")],
    nodes: Annotated[Path | None, typer.Option(help="CSV of nodes: a plain one or openb's.")] = None,
    more: Annotated[
        list[str] | None, typer.Option(help="More nodes, such as 2x8xH100: what if there were these as well?")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="schedule, or schedule+placement such as fair+best-fit; repeatable."),
    ] = None,
    expects: Annotated[
        str, typer.Option(help="What is known of durations: told (by the trace), true, learned or nothing.")
    ] = "learned",
    most: Annotated[int | None, typer.Option(help="Only so many jobs, from the first on.")] = None,
    png: Annotated[
        Path | None, typer.Option(help="Draw use over time and waits by project into this file.")
    ] = None,
    output: Output = Form.table,
) -> None:
    """Live through a trace again under one or more policies, and tell what would have come of it."""
    rooms = [*(traces.nodes(nodes) if nodes is not None else ()), *_more(more or ())]
    if not rooms:
        raise Rejected("say which nodes there are: --nodes FILE, or --more 4x8", field="nodes")
    jobs, refused = traces.fitting(traces.jobs(trace)[:most], sum(room.gpus for room in rooms))
    played = [_played(name, jobs, rooms, _expects(expects)) for name in policy or ["fair"]]
    if png is not None:
        pictures.replays(played, png)
    found = [{"policy": one.name, **figures(one)} for one in played]
    show(output, {"left_out": refused, "policies": found}, COLUMNS, [_row(one) for one in found])
    if refused and output is Form.table:
        say(f"{refused} jobs that ask for more GPUs than there are were left out")


def _played(name: str, jobs: Sequence[traces.Job], rooms: Sequence[Room], expects: Expects) -> Played:
    schedule, _, placement = name.partition("+")
    return play(name, jobs, rooms, parts_of(schedule, placement or USUAL_PLACEMENT), expects=expects)


def _more(asked: Sequence[str]) -> list[Room]:
    found: list[Room] = []
    for number, words in enumerate(asked):
        match = MORE.fullmatch(words)
        if match is None:
            raise Rejected(f"nodes are asked for as 2x8 or 2x8xH100, not {words!r}", field="more")
        count, gpus, gpu_type = match.groups()
        found += traces.alike(int(count), gpus=int(gpus), gpu_type=gpu_type or "", name=f"more-{number}")
    return found


def _expects(word: str) -> Expects:
    match word:
        case "told" | "true" | "learned" | "nothing":
            return word
    raise Rejected(f"durations are told, true, learned or nothing, not {word!r}", field="expects")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["policy"],
        str(one["jobs"]) if one["jobs"] == one["done"] else f"{one['done']} of {one['jobs']}",
        show_seconds(one["mean_completion_s"]),
        show_seconds(one["p99_completion_s"]),
        show_seconds(one["mean_wait_s"]),
        show_seconds(one["makespan_s"]),
        f"{one['utilisation']:.1%}",
        f"{one['fairness']:.2f}",
        str(one["preemptions"]),
    )
