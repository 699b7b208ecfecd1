"""Curves on a terminal, drawn with braille dots: two across and four down in each character."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from modelhall.doors.trainings import Curve

COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Unicode's number of each dot of a character, by its line and its column."""
_ACROSS, _DOWN = 2, 4


def plot(title: str, curves: Mapping[str, Curve], *, width: int = 72, height: int = 10) -> RenderableType:
    """All `curves` of one figure in one picture, each in its colour, with its scales at the edges."""
    points = [point for curve in curves.values() for point in curve]
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for number, curve in enumerate(curves.values()):
        colour = COLOURS[number % len(COLOURS)]
        for x, y in _dots(curve, (first, last), (low, high), (width * _ACROSS, height * _DOWN)):
            place = (y // _DOWN, x // _ACROSS)
            dots = cells.get(place, (0, colour))[0] | _DOTS[y % _DOWN][x % _ACROSS]
            cells[place] = (dots, colour)
    parts: list[RenderableType] = [_legend(title, list(curves))]
    edge = {0: f"{high:.4g}", height - 1: f"{low:.4g}"}
    margin = max(map(len, edge.values()))
    for line in range(height):
        text = Text(f"{edge.get(line, ''):>{margin}} │", style="dim")
        for column in range(width):
            dots, colour = cells.get((line, column), (0, ""))
            text.append(chr(_BLANK + dots), style=colour)
        parts.append(text)
    ends = f"{first:g}", f"{last:g}"
    parts.append(Text(f"{'':>{margin}} └{ends[0]}{ends[1]:>{width - len(ends[0])}} steps", style="dim"))
    return Group(*parts)


def _dots(
    curve: Curve, steps: tuple[float, float], values: tuple[float, float], size: tuple[int, int]
) -> set[tuple[int, int]]:
    """The dots of one curve, from the upper left, with those between two of its points."""
    places = [(_at(step, steps, size[0]), size[1] - 1 - _at(value, values, size[1])) for step, value in curve]
    found = set(places)
    for (x, y), (further, other) in itertools.pairwise(places):
        for across in range(x + 1, further):
            found.add((across, y + round((other - y) * (across - x) / (further - x))))
    return found


def _at(value: float, ends: tuple[float, float], size: int) -> int:
    low, high = ends
    return 0 if high == low else round((value - low) / (high - low) * (size - 1))


def _legend(title: str, names: list[str]) -> Text:
    text = Text(f"\n{title}", style="bold")
    for number, name in enumerate(names):
        text.append(f"   ━ {name}", style=f"not bold {COLOURS[number % len(COLOURS)]}")
    return text
