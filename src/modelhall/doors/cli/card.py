"""A model card as Markdown (Mitchell et al. 2019): what it is for, what it was made of, how well it does and for
whom, what it cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelhall.core.units import show_bytes, show_carbon, show_energy, show_money, show_seconds

NOT_TOLD = "not told"
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def markdown(card: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The card of a version, as `Models.card` gives it; `pictures` are files by their titles."""
    version, declared = card["version"], card["declared"]["card"]
    verdict = "accepted" if version["accepted"] else f"refused: {version['refusal']}"
    sections = {
        "": [
            f"# {card['model']}, version {card['number']}",
            f"`{version['id']}`, {verdict}. Task: {version['task']}.",
        ],
        "Intended use": [_text(declared["use"])],
        "Limits": [_text(declared["limits"]), *_erased(version)],
        "Licence": _licences(card),
        "Data": _data(card["data"]),
        "Training": _training(card),
        "Figures": _figures(card),
        "By class": _classes(card["evaluation"] or {}),
        "Beside the version before": _comparison(version),
        "Cost": _cost(card["cost"]),
        "Pictures": [f"![{_text(title)}]({file})" for title, file in pictures.items()],
    }
    parts = [
        "\n\n".join([f"## {title}", *lines] if title else lines) for title, lines in sections.items() if lines
    ]
    return "\n\n".join(parts) + "\n"


def _erased(version: Mapping[str, Any]) -> list[str]:
    return ["It was trained on rows that were erased since."] if version["erased_data"] else []


def _licences(card: Mapping[str, Any]) -> list[str]:
    declared = card["declared"]["card"]
    told = {
        "of the model": declared["licence"],
        "of its base": declared["base_licence"],
        "of its data": card["data"].get("licence", ""),
    }
    return [_list(f"{of}: {_text(licence)}" for of, licence in told.items())]


def _data(data: Mapping[str, Any]) -> list[str]:
    name = f"{data['name']}, version `{data['version']}`"
    if "rows" not in data:
        return [_list([name, "its record is gone"])]
    rows = ", ".join(f"{count:,} {split}" for split, count in data["rows"].items())
    columns = ", ".join(_text(column) for column in data["columns"])
    return [_list([name, f"rows: {rows}", f"columns: {columns}", f"size: {show_bytes(data['size_bytes'])}"])]


def _training(card: Mapping[str, Any]) -> list[str]:
    record, version = card["record"], card["version"]
    size = f"{version['parameters']:,} parameters, {show_bytes(version['size_bytes'])}"
    if record is None or "order" not in record:
        return [_list([size, "no record was kept"])]
    order, machine = record["order"], record["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in record["libraries"].items())
    told = [
        size,
        f"network: {_options(order['network'])}",
        f"training: {_options(order['train'])}",
        f"took {show_seconds(record['seconds'])} in attempt {record['attempt']}, from step {record['begun_at_step']}",
        f"{machine['threads']} threads of {_text(machine['processor'])} ({machine['capability']}), "
        f"{'' if machine['deterministic'] else 'not '}deterministic, seed {record['seed']}",
        f"libraries: {libraries}",
    ]
    return [_list(told)]


def _figures(card: Mapping[str, Any]) -> list[str]:
    version, require = card["version"], card["declared"]["require"]
    rows = []
    for name, value in sorted(version["metrics"].items()):
        low, high = version["intervals"].get(name, (None, None))
        interval = "" if low is None else f"{low:.4g} to {high:.4g}"
        rows.append((_text(name), f"{value:.4g}", interval, require.get(name, "")))
    told = f"On {version['rows']:,} rows of the test split."
    return [told, _table(("metric", "value", "95 % of such samples", "required"), rows)]


def _classes(evaluation: Mapping[str, Any]) -> list[str]:
    classes = evaluation.get("classes")
    if not classes:
        return []
    rows = [
        (
            _text(one["label"]),
            f"{one['rows']:,}",
            *(f"{one[name]:.4g}" for name in ("precision", "recall", "f1")),
        )
        for one in classes
    ]
    calibration = f"Expected calibration error: {evaluation['calibration']['error']:.3f}."
    return [_table(("class", "rows", "precision", "recall", "f1"), rows), calibration]


def _comparison(version: Mapping[str, Any]) -> list[str]:
    comparison = (version["evaluation"] or {}).get("comparison")
    if not comparison:
        return []
    if comparison["why_not"]:
        return [f"Not compared with `{comparison['against'][:12]}`: {comparison['why_not']}."]
    rows = [
        (
            name,
            f"{one['before']:.4g}",
            f"{one['after']:.4g}",
            f"{one['interval'][0]:+.3g} to {one['interval'][1]:+.3g}",
            f"{one['p']:.2g}",
        )
        for name, one in comparison["figures"].items()
    ]
    told = f"With `{comparison['against'][:12]}`, on the same {comparison['rows']:,} rows."
    return [told, _table(("", "before", "now", "95 % of differences", "p"), rows)]


def _cost(cost: Mapping[str, Any]) -> list[str]:
    how = "measured" if cost["measured"] else "estimated"
    told = [
        f"processor time: {show_seconds(cost['cpu_s'])}",
        *([f"GPUs held for: {show_seconds(cost['gpu_s'])}"] if cost["gpu_s"] else []),
        f"energy: {show_energy(cost['energy_j'])} ({how})",
        f"CO2: {show_carbon(cost['co2_g'])}",
        f"cost: {show_money(cost['cost_nano'], cost['currency'])}",
    ]
    return ["Of training and measuring this version.", _list(told)]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {_text(str(value))}" for name, value in options.items() if value not in (None, [])
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Somebody's words, as such and not as Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())) or NOT_TOLD
