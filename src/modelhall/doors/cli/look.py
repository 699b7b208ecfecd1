"""Commands that look: get, describe, events, status."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated, Any

import typer

from modelhall.core.errors import NotFound, NotNow, Rejected
from modelhall.core.kinds import AnyResource, Key, kind_named
from modelhall.core.names import split_reference
from modelhall.core.versions import named, number_of
from modelhall.doors.cli import data, data_tables, live, model_tables, tables
from modelhall.doors.cli.terminal import (
    IN_DEFAULT,
    Form,
    Home,
    Labels,
    Output,
    Project,
    err,
    labels_of,
    out,
    say,
    show,
)
from modelhall.doors.client import Hall

EVENTS_POLL_S = 0.5
EVENTS_AT_ONCE = 500
LIMITED = ("service", "project", "token")
"""Kinds that have limits."""

KindArgument = Annotated[str, typer.Argument(help="dataset, model, service, run, node or project.")]


def add_to(cli: typer.Typer) -> None:
    for command in (get, describe, events, status):
        cli.command()(command)


def get(
    kind: KindArgument,
    name: Annotated[str | None, typer.Argument(help="One of them, name@2, or name@3f2a by id.")] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Show the first rows of a data set instead.")
    ] = None,
    split: Annotated[str, typer.Option(help="The split that rows are shown of.")] = "train",
    project: Project = IN_DEFAULT,
    label: Labels = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many, the first by name.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with every change.")] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """List resources, or show one."""
    kind_named(kind)
    kind = kind.removesuffix("s")
    of: dict[str, Any] = {
        "project": None if kind == "node" and name is None else project,
        "labels": labels_of(label),
    }
    plain, version = split_reference(name) if name is not None and "@" in name else (name, None)
    with Hall(home=home) as hall:
        if rows is not None:
            _show_rows(hall, Key(kind, project, plain or ""), version, split, rows, output)
            return
        found = hall.listing(kind, **of, limit=1 if name else limit)
        if plain is not None:
            one = hall.get(kind, project, plain)
            found = replace(found, items=[one])
        if watch:
            changes = hall.watch(kind, **of, name=plain, known=found)
            live.follow(kind, found.items, changes, output)
            return
    if version is not None:
        _show_version(found.items[0], version, output)
        return
    data = [tables.as_data(resource) for resource in found.items]
    show(output, data[0] if name else data, *tables.rows_of(kind, found.items))
    if not name and not found.is_whole:
        err.print(f"these are the first {limit}; there are more", style="dim")


def describe(
    kind: KindArgument,
    name: Annotated[str, typer.Argument(help="Its name; name@2 or name@3f2a for a version of it.")],
    project: Project = IN_DEFAULT,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Tell all there is to know about one resource, and what happened to it."""
    kind_named(kind)
    plain, version = split_reference(name) if "@" in name else (name, None)
    key = Key(kind.removesuffix("s"), project, plain)
    with Hall(home=home) as hall:
        resource = hall.get(*key)
        happened = hall.events(key, limit=20)
        record = data.recorded(hall, resource, version) if key.kind == "dataset" else None
        card = _card(hall, resource, version)
        limits = hall.limits(*key) if key.kind in LIMITED else []
    if output is not Form.table:
        told: dict[str, Any] = {} if record is None else {"record": record}
        told |= {} if card is None else {"card": card}
        told |= {"limits_used": limits} if limits else {}
        show(output, {**tables.as_data(resource), **told, "events": happened})
        return
    out.print(tables.description(resource))
    if record is not None:
        out.print(data_tables.record(record, resource))
    if key.kind == "model":
        _show_figures(resource, version)
        if resource.status.search is not None:
            out.print(model_tables.trials(resource.status.search))
        if card is not None:
            out.print(model_tables.told(card))
    if limits:
        say("\nlimits")
        show(output, limits, ("of", "limit", "used", "left", "all there again"), tables.limit_rows(limits))
    if happened:
        say("\nevents")
        show(output, happened, ("", "", ""), tables.event_rows(happened))


def events(
    limit: Annotated[int, typer.Option(help="How many, the newest.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on as they come.")] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """Why things happened."""
    with Hall(home=home) as hall:
        happened = hall.events(limit=max(limit, EVENTS_AT_ONCE) if watch else limit)
        _show_events(happened[-limit:], output)
        while watch:
            time.sleep(EVENTS_POLL_S)
            try:
                newest = hall.events(limit=EVENTS_AT_ONCE)
            except NotNow:
                continue
            known = {tuple(event.values()) for event in happened}
            for event in newest:
                if tuple(event.values()) not in known:
                    _show_event(event, output)
            happened = newest


def _show_events(happened: list[dict[str, Any]], output: Form) -> None:
    rows = [
        (*row[:1], f"{e['kind']} {e['name']}", *row[1:])
        for row, e in zip(tables.event_rows(happened), happened, strict=True)
    ]
    show(output, happened, ("when", "what", "event", "why"), rows)


def _show_event(event: dict[str, Any], output: Form) -> None:
    if output is Form.table:
        when, name, why = tables.event_rows([event])[0]
        say(f"{when}  {event['kind']} {event['name']}  {name}  {why}")
    else:
        show(output, event if output is Form.json else [event])
    out.file.flush()


def status(output: Output = Form.table, home: Home = None) -> None:
    """What the hall is doing."""
    with Hall(home=home) as hall:
        found = hall.status()
    shown = {name: value for name, value in found.items() if name not in ("leads", "epoch")}
    shown["role"] = f"leads, as number {found['epoch']}" if found["leads"] else "stands by"
    show(output, found, ("", ""), [(name, str(value)) for name, value in shown.items()])


def _show_rows(hall: Hall, key: Key, version: str | None, split: str, limit: int, output: Form) -> None:
    if key.kind != "dataset" or not key.name:
        raise Rejected(
            "rows are shown of one data set, such as `hall get dataset reviews --rows 5`", field="rows"
        )
    found = hall.datasets.rows(key.name, version=version, split=split, limit=limit, project=key.project)
    cells = [tuple(map(str, row.values())) for row in found]
    show(output, found, tuple(found[0]) if found else (), cells)


def _version_of(resource: AnyResource, word: str) -> Any:
    found, why = named(getattr(resource.status, "versions", ()), word, str(resource.key))
    if found is None:
        raise NotFound(why)
    return found


def _card(hall: Hall, resource: AnyResource, version: str | None) -> dict[str, Any] | None:
    """What is told of a version of a model; None of anything else, and before there is one."""
    if resource.key.kind != "model" or (version is None and resource.status.version is None):
        return None
    return hall.models.card(resource.key.name, version=version, project=resource.key.project)


def _show_figures(resource: AnyResource, word: str | None) -> None:
    """What was measured of a model's version: the one that is named, or the one its document declares."""
    versions = resource.status.versions
    wanted = resource.status.version if word is None else _version_of(resource, word).id
    for version in versions:
        if version.id == wanted:
            out.print(model_tables.figures(version, number_of(versions, version)))


def _show_version(resource: AnyResource, word: str, output: Form) -> None:
    found = _version_of(resource, word)
    data = found.model_dump(mode="json")
    show(output, data, ("", ""), [(name, str(value)) for name, value in data.items()])
