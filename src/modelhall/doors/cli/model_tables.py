"""Versions of models for people: how well one does, and for whom."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.core.kinds.model import ModelVersion
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
        table("metrics", ("metric", "value", "95 % of such samples"), rows),
    ]
    if sliced := _slices(version.metrics):
        parts.append(table("slices", ("slice", *_metrics_of(sliced)), _slice_rows(sliced)))
    return Group(*parts)


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
