"""Versions of models for people: how well one does, for whom, and what it takes for what."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.core.kinds.model import ClassFigures, ModelVersion
from modelhall.doors.cli.tables import Rows, table

SHOWN_MISTAKES = 3


def figures(version: ModelVersion, number: int) -> RenderableType:
    """What was measured of one version."""
    whole = {name: value for name, value in version.metrics.items() if "[" not in name}
    rows: Rows = [
        (name, f"{value:.4g}", _interval(version.intervals.get(name)))
        for name, value in sorted(whole.items())
    ]
    parts: list[RenderableType] = [
        Text(f"version {number} ({version.id[:12]}), measured on {version.rows:,} rows of the test split"),
        table("metrics", ("metric", "value", "95 % of such samples"), rows),
    ]
    if version.classes:
        columns = ("label", "rows", "precision", "recall", "F1", "taken for")
        parts.append(table("labels", columns, _classes(version.classes)))
    if sliced := _slices(version.metrics):
        parts.append(table("slices", ("slice", *_metrics_of(sliced)), _slice_rows(sliced)))
    return Group(*parts)


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}"


def _classes(classes: Mapping[str, ClassFigures]) -> Rows:
    rows: Rows = []
    for label, found in classes.items():
        others = sorted(
            ((count, other) for other, count in found.taken_for.items() if other != label), reverse=True
        )
        mistakes = ", ".join(f"{other} {count}" for count, other in others[:SHOWN_MISTAKES])
        rows.append(
            (
                label,
                f"{found.rows:,}",
                f"{found.precision:.3f}",
                f"{found.recall:.3f}",
                f"{found.f1:.3f}",
                mistakes,
            )
        )
    return rows


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
