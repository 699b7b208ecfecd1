"""Versions of models for people: how well one does, and for whom; how it was trained; the trials of a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.core.kinds.compression import Compression
from modelhall.core.kinds.model import ModelVersion
from modelhall.core.kinds.search import SearchReport
from modelhall.core.units import show_bytes, show_energy, show_seconds
from modelhall.doors.cli.tables import Rows, table


def figures(version: ModelVersion, number: int) -> RenderableType:
    """What was measured of one version."""
    whole = {name: value for name, value in version.metrics.items() if "[" not in name}
    rows: Rows = [
        (name, f"{value:.4g}", _interval(version.intervals.get(name)))
        for name, value in sorted(whole.items())
    ]
    parts: list[RenderableType] = [
        Text(f"version {number} ({version.id[:12]}), measured on {version.rows:,} rows of the test split"),
        *(Text(line) for line in _origins(version)),
        table("metrics", ("metric", "value", "95 % of such samples"), rows),
    ]
    if version.compression is not None:
        parts += _compression(version.compression)
    if sliced := _slices(version.metrics):
        parts.append(table("slices", ("slice", *_metrics_of(sliced)), _slice_rows(sliced)))
    return Group(*parts)


MOST_CLASSES = 50
"""Shown at a time; the card has all that were kept."""


def told(card: Mapping[str, Any]) -> RenderableType:
    """What a version's card adds: figures by class, how it does beside the version before, how it was trained."""
    evaluation, record = card["evaluation"] or {}, card["record"] or {}
    comparison = (card["version"]["evaluation"] or {}).get("comparison") or {}
    parts: list[RenderableType] = []
    if classes := evaluation.get("classes"):
        parts.append(_classes(classes[:MOST_CLASSES]))
    if confusion := evaluation.get("confusion"):
        parts.append(_confusion(confusion))
    if calibration := evaluation.get("calibration"):
        parts.append(Text(f"\nexpected calibration error {calibration['error']:.3f}"))
    if comparison.get("figures"):
        against = f"beside version {comparison['against'][:12]}"
        parts.append(paired(comparison["figures"], comparison["rows"], title=against))
    if "order" in record:
        parts.append(table("training", ("", ""), _training(record, card["cost"])))
    return Group(*parts)


def paired(figures: Mapping[str, Any], rows: int, *, title: str = "row by row") -> RenderableType:
    """Two versions on the same rows."""
    lines: Rows = [
        (
            name,
            f"{one['before']:.4g}",
            f"{one['after']:.4g}",
            f"{one['interval'][0]:+.3g} to {one['interval'][1]:+.3g}",
            f"{one['p']:.2g}",
        )
        for name, one in figures.items()
    ]
    return table(f"{title}, {rows:,} rows", ("", "before", "after", "95 % of differences", "p"), lines)


def trials(report: SearchReport) -> RenderableType:
    """The trials of a search, and how much each field mattered."""
    fields = list(dict.fromkeys(field for trial in report.trials for field in trial.values))
    rows: Rows = [
        (
            f"{trial.number} *" if trial.number == report.best else str(trial.number),
            *(str(_short(trial.values.get(field))) for field in fields),
            trial.state,
            "" if trial.validated is None else f"{trial.validated:.4g}",
            trial.run or "",
            trial.why,
        )
        for trial in report.trials
    ]
    columns = ("trial", *fields, "state", report.metric or "validated", "run", "")
    parts: list[RenderableType] = [table("trials (* became the version)", columns, rows)]
    if report.importances:
        shares = sorted(report.importances.items(), key=lambda one: -one[1])
        parts.append(Text("what mattered: " + ", ".join(f"{field} {share:.0%}" for field, share in shares)))
    return Group(*parts)


def _short(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def _classes(classes: list[dict[str, Any]]) -> RenderableType:
    rows: Rows = [
        (
            one["label"],
            f"{one['rows']:,}",
            *(f"{one[name]:.4g}" for name in ("precision", "recall", "f1")),
        )
        for one in classes
    ]
    return table("classes", ("class", "rows", "precision", "recall", "f1"), rows)


def _confusion(confusion: Mapping[str, Any]) -> RenderableType:
    """Lines are the true classes, columns what was told."""
    labels = confusion["labels"]
    rows: Rows = [
        (label, *map(str, counts)) for label, counts in zip(labels, confusion["counts"], strict=True)
    ]
    return table("confusion", ("true \\ told", *labels), rows)


def _training(record: Mapping[str, Any], cost: Mapping[str, Any]) -> Rows:
    machine = record["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in record["libraries"].items())
    about = "" if cost["measured"] else "~"
    return [
        ("took", f"{show_seconds(record['seconds'])} in attempt {record['attempt']}"),
        ("energy", f"{about}{show_energy(cost['energy_j'])}, {cost['cpu_s']:.1f} s of processor time"),
        *([("GPUs held for", show_seconds(cost["gpu_s"]))] if cost["gpu_s"] else []),
        ("processor", f"{machine['processor']} ({machine['capability']}), {machine['threads']} threads"),
        ("bits", f"{'' if machine['deterministic'] else 'not '}deterministic, seed {record['seed']}"),
        ("libraries", libraries),
    ]


def _compression(made: Compression) -> list[RenderableType]:
    """What it was before, and every way that was tried; on the Pareto front are those with a star."""
    before = ", ".join(
        f"{name} {value:.4g}" for name, value in sorted(made.metrics.items()) if "[" not in name
    )
    rows: Rows = [
        (
            ("→ " if number == made.chosen else "  ") + way.name + (" *" if way.front else ""),
            show_bytes(way.size_bytes), f"{way.row_ms:.3g} ms", f"{way.batch_ms:.3g} ms",
            "" if way.kept is None else f"{way.kept:.2%}", way.refusal,
        )
        for number, way in enumerate(made.ways)
    ]  # fmt: skip
    title = f"compression, {made.keep:.2%} of what is required to be kept"
    columns = ("way", "size", "a row", "a batch", "kept", "refused")
    return [Text(f"as it was trained: {before}"), table(title, columns, rows)]


def _origins(version: ModelVersion) -> Iterator[str]:
    """What it was made from beside its data, a line each."""
    for how, origin in (("starts from", version.base), ("was taught by", version.teacher)):
        if origin is not None:
            licence = f", licence {origin.licence}" if origin.licence else ""
            yield f"{how} {origin.source} ({origin.artifact[:12]}){licence}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _slices(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Slice → metric → value."""
    found: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        metric, bracket, rest = name.partition("[")
        if bracket:
            found.setdefault(rest.removesuffix("]"), {})[metric] = value
    return found


def _metrics_of(sliced: Mapping[str, Mapping[str, float]]) -> list[str]:
    return sorted({metric for metrics in sliced.values() for metric in metrics})


def _slice_rows(sliced: Mapping[str, Mapping[str, float]]) -> Rows:
    names = _metrics_of(sliced)
    return [
        (one, *(f"{metrics[name]:.4g}" if name in metrics else "" for name in names))
        for one, metrics in sliced.items()
    ]
