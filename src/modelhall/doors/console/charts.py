"""What charts need to be drawn by a template: points in a field of 1000 by 100, and the ends of both axes.

Drawn on the server as SVG: they need no script, look right in both themes, and can be read where scripts are off.
How they look is left to `templates/charts.html` and the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelhall.core.ports.history import Span

WIDTH, HEIGHT = 1000.0, 100.0
TICKS = 4
"""Steps of the upright axis."""
VALIDATED = "validation_"
"""How the names of figures begin that were measured on the validation split."""
HEATS = 9
"""Shades of a table of counts."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    path: str
    """For SVG."""
    newest: float


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves over one axis."""

    lines: tuple[Line, ...]
    low: float
    high: float
    begin: float
    end: float
    table: tuple[tuple[float, tuple[float | None, ...]], ...]
    """Some of the points, for whoever reads rather than looks."""

    @property
    def ticks(self) -> list[float]:
        """From the highest down, as they are written."""
        step = (self.high - self.low) / TICKS
        return [self.high - place * step for place in range(TICKS + 1)]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a histogram."""

    x: float
    y: float
    width: float
    height: float
    words: str


def chart(curves: Mapping[str, Points], *, from_zero: bool = False) -> Chart | None:
    """Curves over a common axis; None where there is nothing to draw yet."""
    there = {name: points for name, points in curves.items() if points}
    if not there:
        return None
    values = [value for points in there.values() for _, value in points]
    places = [place for points in there.values() for place, _ in points]
    low, high = rounded(min(0.0, *values) if from_zero else min(values), max(values))
    begin, end = min(places), max(places)
    return Chart(
        lines=tuple(
            Line(name=name, path=_path(points, begin, end, low, high), newest=points[-1][1])
            for name, points in there.items()
        ),
        low=low,
        high=high,
        begin=begin,
        end=end,
        table=_table(there),
    )


def losses(curves: Mapping[str, Points]) -> Chart | None:
    """Of all that a training tells, what is to fall."""
    return chart({name: points for name, points in curves.items() if _is_loss(name)})


def validated(curves: Mapping[str, Points]) -> Chart | None:
    """What was measured on the validation split besides, on an axis of its own: beside the losses neither would be
    seen, and what the machine does has quite other sizes."""
    return chart(
        {name: points for name, points in curves.items() if name.startswith(VALIDATED) and not _is_loss(name)}
    )


def over_time(spans: Mapping[str, Sequence[Span]]) -> Chart | None:
    """The means of figures, over time; from zero, since what is drawn so is an amount."""
    curves = {name: [(span.at, span.mean) for span in found] for name, found in spans.items()}
    return chart(curves, from_zero=True)


def rounded(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis that people can read, around what there is."""
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    raw = (high - low) / TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    for times in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0):
        step = size * times
        begin = math.floor(low / step) * step
        if begin + TICKS * step >= high:
            return begin, begin + TICKS * step
    return low, high


def bars(counts: Mapping[str, int]) -> list[Bar]:
    """A bar each, side by side."""
    most = max(counts.values(), default=0)
    if not most:
        return []
    width = WIDTH / len(counts)
    return [
        Bar(
            x=round(place * width, 2),
            y=round(HEIGHT * (1 - count / most), 2),
            width=round(width * 0.86, 2),
            height=round(HEIGHT * count / most, 2),
            words=f"{name}: {count:,}",
        )
        for place, (name, count) in enumerate(counts.items())
    ]


def heat(count: int, of: int) -> int:
    """The shade of a count in its line: 0 for none, HEATS for all."""
    return math.ceil(HEATS * count / of) if of else 0


def _is_loss(name: str) -> bool:
    return name.removeprefix(VALIDATED) == "loss"


def _path(points: Points, begin: float, end: float, low: float, high: float) -> str:
    # Of numbers so small that their difference is none, there is nothing to show but a line.
    wide, tall = (end - begin) or 1.0, (high - low) or 1.0
    places = (f"{(x - begin) / wide * WIDTH:.1f},{HEIGHT - (y - low) / tall * HEIGHT:.2f}" for x, y in points)
    drawn = "M" + "L".join(places)
    # A single point is a line as long as the field, or nobody would see it.
    return f"{drawn}H{WIDTH:.0f}" if len(points) == 1 else drawn


def _table(
    curves: Mapping[str, Points], most: int = 12
) -> tuple[tuple[float, tuple[float | None, ...]], ...]:
    """A few of the places at which something is known, and what each curve is there."""
    known = [dict(points) for points in curves.values()]
    places = sorted({place for points in known for place in points})
    stride = max(1, math.ceil(len(places) / most))
    return tuple((place, tuple(points.get(place) for points in known)) for place in places[::-stride][::-1])
