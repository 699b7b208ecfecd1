"""Figures in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats), by its naming practices.

Labels say what a figure is of; `estimated="true"` marks what no sensor has measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from modelhall.core.alerts import Alert
from modelhall.core.measures import MEASURES, Measure
from modelhall.core.measures import of as sort_of
from modelhall.core.ports.figures import Family
from modelhall.core.ports.sensor import Figure

PREFIX = "modelhall_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PART = {
    "energy_j": "of", "temperature_c": "device", "gpu_used_share": "device",
    "gpu_memory_bytes": "device", "gpu_memory_used_bytes": "device", "sensor_failures": "sensor",
}  # fmt: skip
"""What the label is called that tells one of several."""
ESTIMATED = ("energy_j", "power_w")
"""Figures that may come from a model."""


def exposed(seen: Mapping[str, Iterable[Figure]]) -> Iterator[str]:
    """The lines for all figures of all subjects that have a metric of their own."""
    for one in families(seen):
        yield from family(
            one.name.removeprefix(PREFIX), "counter" if one.is_counter else "gauge", one.words, one.rows
        )


def families(seen: Mapping[str, Iterable[Figure]]) -> Iterator[Family]:
    """The same before they are written."""
    by_measure: dict[tuple[str, str], list[tuple[str, Figure]]] = {}
    for subject, figures in seen.items():
        for figure in figures:
            by_measure.setdefault((sort_of(subject), figure.name), []).append((subject, figure))
    for one in MEASURES:
        found = by_measure.get((one.of, one.name))
        if one.metric and found:
            rows = [(_labels(one, subject, figure), figure.value) for subject, figure in found]
            yield Family(f"{PREFIX}{one.metric}", one.words, one.is_counter, rows)


def firing(alerts: Iterable[Alert]) -> Iterator[str]:
    """The lines for alerts that fire."""
    rows = [
        ({"rule": alert.rule, "severity": alert.severity, **_names(alert.subject)}, 1.0) for alert in alerts
    ]
    if rows:
        yield from family("alert_firing", "gauge", "Alerts of the hall that fire.", rows)


def family(
    name: str, type: str, words: str, rows: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    """The lines of one metric, whose name is told without the prefix."""
    yield f"# HELP {PREFIX}{name} {words}"
    yield f"# TYPE {PREFIX}{name} {type}"
    for labels, value in rows:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{PREFIX}{name}{{{told}}} {value!r}" if told else f"{PREFIX}{name} {value!r}"


def _names(subject: str) -> dict[str, str]:
    sort, _, rest = subject.partition("/")
    project, _, name = rest.partition("/")
    alone: dict[str, dict[str, str]] = {"project": {"project": name}, "node": {"node": name}, "hall": {}}
    return alone.get(sort, {"project": project, sort: name})


def _labels(one: Measure, subject: str, figure: Figure) -> dict[str, str]:
    labels = _names(subject)
    if one.name in PART:
        labels |= {PART[one.name]: figure.part or "node"}
    if one.name in ESTIMATED:
        labels |= {"estimated": "false" if figure.measured else "true"}
    return labels


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
