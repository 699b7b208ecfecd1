"""Versions of data sets for people: what was done, small histograms, what differs, what an erasure is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.core.kinds import AnyResource
from modelhall.core.units import show_bytes
from modelhall.core.versions import number_of
from modelhall.doors.cli.tables import Rows, table

BARS = "▁▂▃▄▅▆▇█"
SHOWN_VALUES = 4
SHOWN_MOVES = 12
LONGEST_OPTIONS = 60


def record(told: Mapping[str, Any], resource: AnyResource) -> RenderableType:
    """All about one version."""
    found = next((v for v in resource.status.versions if v.id == told["version"]), None)
    number = f"{number_of(resource.status.versions, found)} " if found else ""
    splits = [
        (split, f"{of['rows']:,}", str(of["shards"]), show_bytes(of["size_bytes"]))
        for split, of in told["splits"].items()
    ]
    sources = (
        [(source.path, source.digest[:16], show_bytes(source.size_bytes)) for source in found.sources]
        if found
        else []
    )
    return Group(
        Text(f"version {number}({told['version'][:12]})"),
        table("splits", ("split", "rows", "shards", "size"), splits),
        table("steps", ("step", "options", "in", "out", "dropped", "for example"), _steps(told)),
        *(
            table(
                f"columns of {split}",
                ("column", "type", "missing", "figures", "spread"),
                _columns(told, split),
            )
            for split in told["splits"]
        ),
        table("sources", ("file", "sha256", "size"), sources),
    )


def comparison(found: Mapping[str, Any]) -> RenderableType:
    """What differs between two versions."""
    counts = [
        (split, f"{of['before']:,}", f"{of['after']:,}", f"{of['after'] - of['before']:+,}")
        for split, of in found["counts"].items()
    ]
    parts: list[RenderableType] = [
        Text(f"from {found['before'][:12]} to {found['after'][:12]}"),
        table("rows", ("split", "before", "after", ""), counts),
    ]
    lines = [
        (sign, _step(step))
        for sign, key in (("-", "removed"), ("+", "added"))
        for step in found["steps"][key]
    ]
    parts += _unless_empty("steps", ("", ""), lines)
    columns = [(one["name"], one["before"] or "-", one["after"] or "-") for one in found["columns"]]
    parts += _unless_empty("columns", ("column", "before", "after"), columns)
    parts += _unless_empty("sources", ("", "file", "sha256"), _sources(found["sources"]))
    moved = [
        (one["split"], one["column"], one["figure"], f"{one['before']:.6g}", f"{one['after']:.6g}")
        for one in found["statistics"][:SHOWN_MOVES]
    ]
    parts += _unless_empty("statistics that moved", ("split", "column", "figure", "before", "after"), moved)
    parts.append(
        table("rows only in one of them", ("split", "before", "after", "for example"), _only(found["rows"]))
    )
    return Group(*parts)


def erasure(found: Mapping[str, Any], resource: AnyResource, *, dry_run: bool) -> RenderableType:
    """What an erasure is about."""
    versions = resource.status.versions
    rows: Rows = []
    for version in versions:
        if version.id in found["rows"]:
            counts = found["rows"][version.id]
            told = "known when it is prepared" if counts is None else _counts(counts)
            current = " (current)" if version.id == resource.status.version else ""
            rows.append(
                (f"{resource.key.name}@{number_of(versions, version)}{current}", version.id[:12], told)
            )
    descending = found["descending"]
    made = [
        (f"{kind} {name}", ", ".join(id[:8] for id in ids))
        for kind in ("dataset", "model")
        for name, ids in descending[f"{kind}s"].items()
    ]
    made += [(f"service {name}", f"names {model}") for name, model in descending["services"].items()]
    return Group(
        table("rows", ("version", "id", "rows"), rows),
        *_unless_empty("what descends from them", ("what", "versions"), made),
        Text(_verdict(found, dry_run=dry_run)),
    )


def _verdict(found: Mapping[str, Any], *, dry_run: bool) -> str:
    if dry_run:
        return "nothing was changed"
    return {
        "none": "no row matches: nothing is to be erased",
        "recorded": f"recorded as erasure {found['erasure']}: a version without them is prepared, then these go",
        "unchanged": f"recorded before, as erasure {found['erasure']}",
    }[found["change"]]


def _steps(told: Mapping[str, Any]) -> Rows:
    read = [{"name": "read", "options": {}, **told["read"]}] if told.get("read") else []
    erased = [{"name": "erase", "options": {}, **told["erased"]}] if told.get("erased") else []
    rows: Rows = []
    for step in (*read, *told["steps"], *erased):
        dropped = step.get("dropped") or {"": ""}
        first = (step["name"], _options(step["options"]), f"{step['rows_in']:,}", f"{step['rows_out']:,}")
        for reason, count in dropped.items():
            shown = (step.get("examples") or {}).get(reason, [])
            rows.append((*first, f"{count} {reason}".strip(), shown[0] if shown else ""))
            first = ("", "", "", "")
    return rows


def _columns(told: Mapping[str, Any], split: str) -> Rows:
    types = {column["name"]: column["type"] for column in told["columns"]}
    return [
        (name, types.get(name, ""), f"{of['nulls'] / max(of['rows'], 1):.1%}", _figures(of), _spread(of))
        for name, of in told["statistics"].get(split, {}).items()
    ]


def _figures(of: Mapping[str, Any]) -> str:
    if of.get("values"):
        shown = list(of["values"].items())
        more = f" and {len(shown) - SHOWN_VALUES} more" if len(shown) > SHOWN_VALUES else ""
        return ", ".join(f"{value} {count}" for value, count in shown[:SHOWN_VALUES]) + more
    if "mean" in of:
        return f"{of['least']:.4g} to {of['largest']:.4g}, mean {of['mean']:.4g} ± {of['deviation']:.3g}"
    return f"mean length {of['mean_length']:.4g}" if "mean_length" in of else ""


def _spread(of: Mapping[str, Any]) -> str:
    """A histogram of one line: of numbers, of lengths by powers of two, or of values from the commonest on."""
    counts = of.get("histogram") or of.get("lengths") or list((of.get("values") or {}).values())
    return bars(counts)


def bars(counts: Sequence[int]) -> str:
    """`[0, 5, 10]` → ` ▅█`: nothing is a blank, and whatever there is can be seen."""
    most = max(counts, default=0)
    if not most:
        return ""
    return "".join(
        BARS[min(len(BARS) - 1, count * len(BARS) // (most + 1))] if count else " " for count in counts
    )


def _only(rows: Mapping[str, Any]) -> Rows:
    told: Rows = []
    for split, of in rows.items():
        if "reason" in of:
            told.append((split, "", "", f"not compared: {of['reason']}"))
            continue
        before, after = of["only_before"], of["only_after"]
        shown = [f"- {row}" for row in before["examples"]] + [f"+ {row}" for row in after["examples"]]
        told.append(
            (split, f"{before['rows']:,}", f"{after['rows']:,}", "\n".join(line[:120] for line in shown))
        )
    return told


def _sources(found: Mapping[str, Any]) -> Rows:
    one = [
        (sign, file["path"], file["digest"][:16])
        for sign, key in (("-", "removed"), ("+", "added"))
        for file in found[key]
    ]
    return [*one, *(("~", f["path"], f"{f['before'][:16]} → {f['after'][:16]}") for f in found["changed"])]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in counts.items() if count) or "none"


def _step(step: Mapping[str, Any]) -> str:
    ((name, options),) = step.items()
    return f"{name} {_options(options)}".rstrip()


def _options(options: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    return told if len(told) <= LONGEST_OPTIONS else f"{told[:LONGEST_OPTIONS]}…"


def _unless_empty(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> list[RenderableType]:
    return [table(title, columns, rows)] if rows else []
