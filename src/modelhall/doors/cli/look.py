"""Commands that look: get, describe, events, status, top."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.live import Live

from modelhall.core.errors import NotFound
from modelhall.core.kinds import AnyResource, Key, kind_named
from modelhall.doors.cli import tables
from modelhall.doors.cli.terminal import IN_DEFAULT, Form, Home, Output, Project, out, say, show
from modelhall.doors.client import Hall

KindArgument = Annotated[str, typer.Argument(help="dataset, model, service, run, node or project.")]


def add_to(cli: typer.Typer) -> None:
    for command in (get, describe, events, status, top):
        cli.command()(command)


def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(help="One of them, or name@version.")] = None,
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """List resources, or show one."""
    kind_named(kind)
    kind = kind.removesuffix("s")
    with Hall(home=home) as hall:
        if name is None:
            found = hall.all(kind, project=None if kind == "node" else project)
        else:
            found = [hall.get(kind, project, name.partition("@")[0])]
    if name and "@" in name:
        _show_version(found[0], name.partition("@")[2], output)
        return
    data = [tables.as_data(resource) for resource in found]
    columns, rows = tables.rows_of(kind, found)
    show(output, data[0] if name else data, columns, rows)


def describe(
    kind: KindArgument,
    name: Annotated[str, typer.Argument()],
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Tell all there is to know about one resource, and what happened to it."""
    kind_named(kind)
    key = Key(kind.removesuffix("s"), project, name)
    with Hall(home=home) as hall:
        resource = hall.get(*key)
        happened = hall.events(key, limit=20)
    if output is not Form.table:
        show(output, {**tables.as_data(resource), "events": happened})
        return
    out.print(tables.description(resource))
    if happened:
        say("\nevents")
        show(output, happened, ("", "", ""), tables.event_rows(happened))


def events(
    limit: Annotated[int, typer.Option(help="How many, the newest.")] = 50,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Why things happened."""
    with Hall(home=home) as hall:
        happened = hall.events(limit=limit)
    rows = [
        (*row[:1], f"{e['kind']} {e['name']}", *row[1:])
        for row, e in zip(tables.event_rows(happened), happened, strict=True)
    ]
    show(output, happened, ("when", "what", "event", "why"), rows)


def status(output: Output = Form.table, home: Home = None) -> None:
    """What the hall is doing."""
    with Hall(home=home) as hall:
        found = hall.status()
    show(output, found, ("", ""), [(name, str(value)) for name, value in found.items()])


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, not live.")] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """What is in use now: nodes, services, runs."""
    with Hall(home=home) as hall:
        if output is not Form.table:
            show(output, _top_data(hall))
            return
        if once or not out.is_terminal:
            out.print(tables.overview(*_everything(hall)))
            return
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                live.update(tables.overview(*_everything(hall)), refresh=True)
                time.sleep(1)


def _everything(hall: Hall) -> tuple[dict[str, list[AnyResource]], dict[str, Any]]:
    kinds = ("node", "service", "model", "dataset", "run")
    return {kind: hall.all(kind) for kind in kinds}, hall.status()


def _top_data(hall: Hall) -> dict[str, Any]:
    found, state = _everything(hall)
    return {**{f"{kind}s": [tables.as_data(r) for r in all] for kind, all in found.items()}, "status": state}


def _show_version(resource: AnyResource, prefix: str, output: Form) -> None:
    found = [v for v in getattr(resource.status, "versions", ()) if v.id.startswith(prefix)]
    if not found:
        raise NotFound(f"{resource.key} has no version {prefix}")
    data = found[0].model_dump(mode="json")
    show(output, data, ("", ""), [(name, str(value)) for name, value in data.items()])
