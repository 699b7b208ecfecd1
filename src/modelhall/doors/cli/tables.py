"""Resources as rows and as descriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from modelhall.core.adapter_names import called
from modelhall.core.kinds import AnyResource
from modelhall.core.kinds.run import Progress
from modelhall.core.kinds.service import asked_for
from modelhall.core.units import show_bytes, show_seconds
from modelhall.doors.cli.terminal import age, coloured

Rows = list[tuple[str, ...]]


def as_data(resource: AnyResource) -> dict[str, Any]:
    """A resource for programs: its document's fields, flat, then `status` and `meta`."""
    data = resource.model_dump(mode="json")
    return {**data.pop("document"), "status": data.pop("status"), "meta": data}


def rows_of(kind: str, found: Sequence[AnyResource]) -> tuple[tuple[str, ...], Rows]:
    """Column names and rows for a list of resources of one kind."""
    columns, row = _ROWS.get(kind, (("name", "state", "reason"), _plain))
    return columns, [row(resource) for resource in found]


TABLES = ("metrics", "intervals", "evaluation")
"""What of a version is shown by itself (`model_tables.py`)."""


def description(resource: AnyResource) -> RenderableType:
    """All about one resource: what was declared, what is, and its versions."""
    data = as_data(resource)
    status, meta = data.pop("status"), data.pop("meta")
    versions = status.pop("versions", None)
    status.pop("search", None)
    parts: list[RenderableType] = [
        Text.from_markup(
            f"[bold]{resource.key}[/]  {coloured(resource.status.state)}  {escape(resource.status.reason)}"
        ),
        _declared(resource),
        _fields("observed", _observed(resource, status)),
        _fields("stored", meta),
    ]
    for version in versions or []:
        current = " (current)" if version["id"] == status.get("version") else ""
        facts = {name: value for name, value in version.items() if name not in TABLES}
        parts.append(_fields(f"version {version['id'][:12]}{current}", facts))
    return Group(*parts)


def event_rows(events: Sequence[dict[str, Any]]) -> Rows:
    """When, what and why of each event."""
    return [(_when(event["at"]), event["event"], event["message"]) for event in events]


def limit_rows(limits: Sequence[dict[str, Any]]) -> Rows:
    """What is used of each limit, and when all of it is there again."""
    return [
        (
            told["measure"],
            told["limit"],
            f"{told['used']:.6g}",
            f"{told['left']:.6g}",
            f"in {show_seconds(told['full_in_s'])}" if told["full_in_s"] else "now",
        )
        for told in limits
    ]


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    found = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for column in columns:
        found.add_column(column)
    for row in rows:
        found.add_row(*(cell if type(cell) is not str else escape(cell) for cell in row))
    return found


def _fields(title: str, data: dict[str, Any]) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in data.items():
        if value not in (None, "", {}, [], ()):
            table.add_row(name, escape(_told(name, value)))
    return Panel(table, title=title, title_align="left", border_style="dim")


def _declared(resource: AnyResource) -> RenderableType:
    """The document as one would write it."""
    said = resource.document.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump({"kind": resource.key.kind, **said}, sort_keys=False, allow_unicode=True)
    return Panel(Text(text.rstrip()), title="declared", title_align="left", border_style="dim")


def _observed(resource: AnyResource, status: dict[str, Any]) -> dict[str, Any]:
    """The status without what stands above it; of a service also what answers by its adapters."""
    told = {name: value for name, value in status.items() if name not in ("state", "reason")}
    if resource.key.kind == "service":
        told["adapters"] = {
            called(resource.key.name, name): f"{one.model}@{one.number} ({one.version[:8]})"
            for name, one in resource.status.adapters.items()
        }
    return told


def _told(name: str, value: Any) -> str:
    if name.endswith("_at"):
        return _when(value)
    if isinstance(value, dict):
        return "\n".join(f"{inner}: {_flat(found)}" for inner, found in value.items())
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "\n".join(_flat(inner) for inner in value)
    return _flat(value)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{name} {_flat(inner)}" for name, inner in value.items() if inner not in (None, {}, [], "")
        )
    if isinstance(value, list):
        return ", ".join(_flat(inner) for inner in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(r: AnyResource) -> tuple[str, ...]:
    return r.key.name, coloured(r.status.state), r.status.reason


def _dataset(r: AnyResource) -> tuple[str, ...]:
    version = r.status.current
    rows = ", ".join(f"{count} {split}" for split, count in version.rows.items()) if version else ""
    size = show_bytes(version.size_bytes) if version else ""
    reason = "" if r.status.state == "ready" else r.status.reason
    return r.key.name, coloured(r.status.state), version.id[:8] if version else "", rows, size, reason


def _model(r: AnyResource) -> tuple[str, ...]:
    version = next((v for v in r.status.versions if v.id == r.status.version), None)
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in version.metrics.items()) if version else ""
    size = show_bytes(version.size_bytes) if version else ""
    reason = "" if r.status.state == "ready" else r.status.reason
    return r.key.name, coloured(r.status.state), version.id[:8] if version else "", metrics, size, reason


def _service(r: AnyResource) -> tuple[str, ...]:
    version, adapters = r.status.version, r.status.adapters
    versions = [version[:8]] if version else []
    versions += [f"{called('', name)} {one.version[:8]}" for name, one in adapters.items()]
    replicas = f"{len(r.status.ready)}/{asked_for(r)}"
    reason = "" if r.status.state == "ready" else r.status.reason
    return (
        r.key.name,
        coloured(r.status.state),
        replicas,
        ", ".join(versions),
        r.document.balance,
        reason,
    )


def progress_of(r: AnyResource) -> str:
    """How far a run is, as far as it tells."""
    progress = r.status.progress
    return _share(progress) if progress and progress.total else ""


def _run(r: AnyResource) -> tuple[str, ...]:
    attempt = str(r.status.attempt or "")
    return (
        r.key.name,
        coloured(r.status.state),
        attempt,
        r.status.node or "",
        progress_of(r),
        age(r.created_at),
        r.status.reason,
    )


def _share(progress: Progress) -> str:
    """`62%, 910 rows/s, 12.0 s left`: the last two while it is at work."""
    assert progress.total
    told = [f"{progress.done / progress.total:.0%}"]
    if progress.done < progress.total and progress.rate:
        told.append(f"{progress.rate:.3g} {progress.unit}/s")
        told += [f"{show_seconds(progress.left_s)} left"] if progress.left_s is not None else []
    return ", ".join(told)


def _node(r: AnyResource) -> tuple[str, ...]:
    cpus = f"{r.status.used_cpus:g}/{r.status.cpus:g}"
    memory, state = show_bytes(r.status.memory_bytes), coloured(r.status.state)
    return r.key.name, state, cpus, memory, r.status.processor, r.status.reason


def _token(r: AnyResource) -> tuple[str, ...]:
    document = r.document
    who = (
        f"user {document.user}" if document.user else "operator" if document.operator else document.role or ""
    )
    scopes = ", ".join(document.scopes) if document.scopes is not None else ""
    until = _when(document.expires_at) if document.expires_at else ""
    return (
        r.key.name,
        coloured(r.status.state),
        "canary" if document.canary else who,
        scopes,
        until,
        r.status.reason,
    )


def _user(r: AnyResource) -> tuple[str, ...]:
    state = "suspended" if r.document.suspended else "active"
    return r.key.name, coloured(state), r.document.email, "operator" if r.document.operator else ""


_ROWS: dict[str, tuple[tuple[str, ...], Callable[[AnyResource], tuple[str, ...]]]] = {
    "dataset": (("name", "state", "version", "rows", "size", "reason"), _dataset),
    "model": (("name", "state", "version", "metrics", "size", "reason"), _model),
    "service": (("name", "state", "ready", "version", "balance", "reason"), _service),
    "run": (("name", "state", "attempt", "node", "done", "age", "reason"), _run),
    "token": (("name", "state", "of", "scopes", "expires", "reason"), _token),
    "user": (("name", "state", "e-mail", "is"), _user),
    "node": (("name", "state", "cpus used", "memory", "processor", "reason"), _node),
}
