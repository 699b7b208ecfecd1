"""Trainings as people lay them beside each other, whether they are asked for as runs or as versions of models: what
was set, with what it was carried out, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.names import split_reference
from modelhall.doors.models import Models

Curve = Sequence[tuple[float, float]]
"""(step, value), in order."""
DIGITS = 12
"""Of a digest, as people see it."""


@dataclass(frozen=True, kw_only=True)
class Training:
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Dotted field → value, of the model's document."""
    circumstances: Mapping[str, Any] = field(default_factory=dict)
    """Libraries, processor, threads, seconds."""
    figures: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)


def ask(models: Models, name: str, *, project: str = DEFAULT_PROJECT) -> Training:
    """The training called `name`: that of a version if it is written `model@2`, else that of a run. Raises NotFound,
    and Rejected where nothing was kept of it."""
    model, version = split_reference(name)
    if version is None:
        return of_run(models.record(name, project=project))
    return of_card(models.card(model, version=version, project=project))


def of_run(told: Mapping[str, Any]) -> Training:
    """From what `Models.record` gives: measured on the validation split alone."""
    output, record = told["output"], told["record"]
    figures = {"parameters": output["parameters"], "size_bytes": output["size_bytes"]}
    if validated := output["validated"]:
        best = max if validated["higher_is_better"] else min
        figures[f"validation_{validated['metric']}"] = best(validated["values"])
    return _training(told["run"], record, figures)


def of_card(card: Mapping[str, Any]) -> Training:
    """From what `Models.card` gives: measured on the test split."""
    version = card["version"]
    figures = {**version["metrics"], "parameters": version["parameters"], "size_bytes": version["size_bytes"]}
    return _training(f"{card['model']}@{card['number']}", card["record"] or {}, figures)


def differing(trainings: Sequence[Training], part: str) -> dict[str, list[Any]]:
    """Of one part (`settings`, `circumstances`, `figures`) all that is not the same everywhere, with each one's
    value; None where it has none."""
    parts = [getattr(training, part) for training in trainings]
    names = dict.fromkeys(name for one in parts for name in one)
    found = {name: [one.get(name) for one in parts] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values[1:])}


def _training(name: str, record: Mapping[str, Any], figures: Mapping[str, float]) -> Training:
    order = dict(record.get("order", {}))
    if data := order.get("data"):
        order["data"] = data[:DIGITS]
    circumstances = {**record.get("libraries", {}), **record.get("machine", {})}
    if "seconds" in record:
        circumstances["seconds"] = round(record["seconds"], 2)
    return Training(
        name=name,
        settings=_flat(order),
        circumstances=circumstances,
        figures=figures,
        curves={name: [tuple(point) for point in curve] for name, curve in record.get("curves", {}).items()},
    )


def _flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found
