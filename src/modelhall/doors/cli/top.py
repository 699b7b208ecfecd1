"""The command `top`: what is in use now, live or once: nodes, services, runs, and what they draw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.run import ACTIVE
from modelhall.core.units import show_bytes, show_seconds
from modelhall.doors.cli import tables
from modelhall.doors.cli.terminal import Form, Home, Output, coloured, out, show
from modelhall.doors.client import Hall

EVERY_S = 1.0
BAR = 8
"""Characters of a bar."""

Told = dict[str, dict[str, Any]]
"""The figures of one subject by their names."""


def add_to(cli: typer.Typer) -> None:
    cli.command()(top)


def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once, not live.")] = False,
    output: Output = Form.table,
    home: Home = None,
) -> None:
    """What is in use now: nodes, services, runs, power."""
    with Hall(home=home) as hall:
        if output is not Form.table:
            show(output, _data(hall))
            return
        if once or not out.is_terminal:
            out.print(_screen(hall))
            return
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_screen(hall), refresh=True)
                time.sleep(EVERY_S)


def screen(
    found: dict[str, list[AnyResource]], figures: dict[str, list[dict[str, Any]]], status: dict[str, Any]
) -> RenderableType:
    """What is shown of resources by kind, and of the figures the hall saw last."""
    told = {subject: {f["name"]: f for f in its if not f["part"]} for subject, its in figures.items()}
    parts: list[RenderableType] = [
        Text(f"hall at {status['address']}   gateway {status['gateway']}   up {show_seconds(status['up_s'])}")
    ]
    running = [run for run in found["run"] if run.status.state in (*ACTIVE, "waiting", "queued")]
    for kind, resources in {**found, "run": running}.items():
        if not resources:
            continue
        columns, rows = tables.rows_of(kind, resources)
        if kind in _SECTIONS:
            columns, row = _SECTIONS[kind]
            rows = [row(one, told.get(one.key.path, {})) for one in resources]
        parts += [Text(""), tables.table(f"{kind}s", columns, rows)]
    return Group(*parts)


def _screen(hall: Hall) -> RenderableType:
    return screen(_everything(hall), hall.figures.now(), hall.status())


def _everything(hall: Hall) -> dict[str, list[AnyResource]]:
    kinds = ("node", "service", "run", "model", "dataset")
    return {kind: hall.all(kind, alive=True) for kind in kinds}


def _data(hall: Hall) -> dict[str, Any]:
    found = {f"{kind}s": [tables.as_data(r) for r in all] for kind, all in _everything(hall).items()}
    return {**found, "figures": hall.figures.now(), "status": hall.status()}


def _node(r: AnyResource, told: Told) -> tuple[str, ...]:
    left_s = _value(told, "disk_left_s")
    full = f", full in {show_seconds(left_s)}" if left_s is not None else ""
    return (
        r.key.name,
        coloured(r.status.state),
        _bar(told, "cpus_used", "cpus", lambda value: f"{value:.1f}"),
        _bar(told, "memory_used_bytes", "memory_bytes", show_bytes),
        _bar(told, "disk_used_bytes", "disk_bytes", show_bytes) + full,
        _both(told, "network_received_bytes_s", "network_sent_bytes_s"),
        _power(told),
        r.status.reason,
    )


def _service(r: AnyResource, told: Told) -> tuple[str, ...]:
    return (
        r.key.name,
        coloured(r.status.state),
        f"{len(r.status.ready)}/{r.document.replicas}",
        _one(told, "requests_s", lambda value: f"{value:.1f}/s"),
        _one(told, "failed_share", lambda value: f"{value:.1%}"),
        _one(told, "latency_p95_s", lambda value: f"{value * 1000:.1f} ms"),
        _one(told, "tokens_s", lambda value: f"{value:.0f}/s" if value else ""),
        "" if r.status.state == "ready" else r.status.reason,
    )


def _run(r: AnyResource, told: Told) -> tuple[str, ...]:
    return (
        r.key.name,
        coloured(r.status.state),
        r.status.node or "",
        _one(told, "cpus_used", lambda value: f"{value:.2f}"),
        _one(told, "memory_used_bytes", show_bytes),
        _both(told, "read_bytes_s", "written_bytes_s"),
        tables.progress_of(r),
        r.status.reason,
    )


_SECTIONS: dict[str, tuple[tuple[str, ...], Callable[[AnyResource, Told], tuple[str, ...]]]] = {
    "node": (("name", "state", "cpus", "memory", "disk", "network in/out", "power", ""), _node),
    "service": (("name", "state", "replicas", "requests", "failed", "p95", "tokens", ""), _service),
    "run": (("name", "state", "node", "cpus", "memory", "disk in/out", "progress", ""), _run),
}


def _value(told: Told, name: str) -> float | None:
    return told[name]["value"] if name in told else None


def _one(told: Told, name: str, shown: Callable[[float], str]) -> str:
    value = _value(told, name)
    return "" if value is None else shown(value)


def _both(told: Told, first: str, second: str) -> str:
    values = _value(told, first), _value(told, second)
    return " / ".join("" if value is None else f"{show_bytes(value)}/s" for value in values).strip(" /")


def _bar(told: Told, used: str, whole: str, shown: Callable[[float], str]) -> str:
    """`▇▇▁▁▁▁▁▁ 0.5 of 2.0`."""
    part, all = _value(told, used), _value(told, whole)
    if part is None or not all:
        return ""
    filled = round(BAR * min(1.0, part / all))
    return f"{'▇' * filled}{'▁' * (BAR - filled)} {shown(part)} of {shown(all)}"


def _power(told: Told) -> str:
    """`~12.5 W` where it is an estimate."""
    if "power_w" not in told:
        return ""
    return f"{'' if told['power_w']['measured'] else '~'}{told['power_w']['value']:.1f} W"
