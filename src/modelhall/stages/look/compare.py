"""Two versions beside each other: steps, columns, counts, statistics that moved; which rows only one of them has is
counted by `only.py`."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelhall.core.files import read_json
from modelhall.core.looking import Question
from modelhall.stages.look import only, unpacked


def answer(question: Question) -> dict[str, Any]:
    """What differs from the first of two artifacts to the second."""
    first, second = question.artifacts
    with unpacked(question, first) as one, unpacked(question, second) as other:
        before, after = (read_json(folder / "dataset.json") or {} for folder in (one, other))
        return {
            "steps": steps(before.get("steps", []), after.get("steps", [])),
            "columns": columns(before.get("columns", []), after.get("columns", [])),
            "counts": counts(before.get("splits", {}), after.get("splits", {})),
            "statistics": statistics(before.get("statistics", {}), after.get("statistics", {})),
            "rows": only.rows(one, other, examples=question.limit),
        }


def steps(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The steps that only one of them has; one whose options changed is in both lists."""
    told = [
        [json.dumps({s["name"]: s["options"]}, sort_keys=True) for s in given] for given in (before, after)
    ]
    found: dict[str, list[dict[str, Any]]] = {"removed": [], "added": []}
    for change, i, j, k, m in difflib.SequenceMatcher(None, told[0], told[1], autojunk=False).get_opcodes():
        if change != "equal":
            found["removed"] += map(json.loads, told[0][i:j])
            found["added"] += map(json.loads, told[1][k:m])
    return found


def columns(before: list[dict[str, str]], after: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Each column that is not the same: its type before and after, None where there is no such column."""
    types = [{column["name"]: column["type"] for column in given} for given in (before, after)]
    names = dict.fromkeys([*types[0], *types[1]])
    return [
        {"name": name, "before": types[0].get(name), "after": types[1].get(name)}
        for name in names
        if types[0].get(name) != types[1].get(name)
    ]


def counts(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Split → its rows before and after."""
    return {
        split: {"before": before.get(split, {}).get("rows", 0), "after": after.get(split, {}).get("rows", 0)}
        for split in dict.fromkeys([*before, *after])
    }


def statistics(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of columns that moved, the furthest first: means and bounds in deviations, shares as they are."""
    moved = []
    for split in before.keys() & after.keys():
        for name in before[split].keys() & after[split].keys():
            was, now = before[split][name], after[split][name]
            for figure, one, other, scale in _figures(was, now):
                if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12):
                    by = abs(other - one) / (scale or abs(one) or 1.0)
                    moved.append(
                        {
                            "split": split,
                            "column": name,
                            "figure": figure,
                            "before": one,
                            "after": other,
                            "by": by,
                        }
                    )
    return sorted(moved, key=lambda one: (-one["by"], one["split"], one["column"], one["figure"]))


def _figures(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """Each figure that both have: its name, before, after, and what a movement is measured by."""
    deviation = was.get("deviation") or 0.0
    for figure in ("mean", "least", "largest", "deviation"):
        if was.get(figure) is not None and now.get(figure) is not None:
            yield figure, float(was[figure]), float(now[figure]), deviation
    if was.get("mean_length") is not None and now.get("mean_length") is not None:
        yield "mean length", was["mean_length"], now["mean_length"], 0.0
    yield "missing", *_shares(was, now, "nulls"), 1.0
    values, new = was.get("values") or {}, now.get("values") or {}
    if values and new:
        for value in dict.fromkeys([*values, *new]):
            yield (
                f"share of {value}",
                values.get(value, 0) / was["rows"],
                new.get(value, 0) / now["rows"],
                1.0,
            )


def _shares(was: Mapping[str, Any], now: Mapping[str, Any], counted: str) -> tuple[float, float]:
    return was[counted] / max(was["rows"], 1), now[counted] / max(now["rows"], 1)
