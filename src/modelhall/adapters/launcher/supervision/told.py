"""The figures a program has told so far, from the lines it appends to a file while it runs (`core/program.py`)."""

from __future__ import annotations

import json
import math
from pathlib import Path

from modelhall.core.ports.reports import Points

FILE = "metrics.jsonl"
LARGEST_BYTES = 4 << 20
"""So much is read, of the newest: a program may write without end."""
MOST_POINTS = 400
"""Of one curve; of a longer one only some are told, the first and the newest among them."""


def told(folder: Path) -> Points:
    """What the program of the attempt in `folder` has told; lines that are no figures are passed over, as is one that
    is being written."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in _lines(folder / FILE):
        try:
            figures = json.loads(line)
            step = int(figures.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        for name, value in figures.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(str(name), []).append((step, float(value)))
    return {name: _thinned(curve) for name, curve in found.items()}


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LARGEST_BYTES))
            return file.read(LARGEST_BYTES).splitlines()
    except FileNotFoundError:
        return []


def _thinned(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(curve) <= MOST_POINTS:
        return curve
    stride = (len(curve) - 1) / (MOST_POINTS - 1)
    return [curve[round(place * stride)] for place in range(MOST_POINTS)]
