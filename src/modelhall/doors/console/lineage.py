"""What a version of a model descends from and what serves it, as boxes and lines for a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

COLUMN, ROW = 210, 62
WIDTH, HEIGHT = 176, 44
LONGEST = 22
"""Letters of a name that fit into a box."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """One thing on the way."""

    what: str
    name: str
    link: str
    """Empty for what has no page."""
    x: int
    y: int

    @property
    def short(self) -> str:
        return self.name if len(self.name) <= LONGEST else f"{self.name[: LONGEST - 1]}…"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Boxes, in columns from what was there first to what came of it."""

    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    """For SVG."""
    width: int
    height: int


def picture(card: Mapping[str, Any], services: Sequence[str]) -> Picture:
    """Of the version that a card is about; `services` are those that serve its model."""
    project, version, data = card["project"], card["version"], card["data"]
    origins = [("file", source, "") for source in _sources(data.get("source"))] + [
        (what, version[what]["source"], "") for what in ("base", "teacher") if version[what]
    ]
    columns = [
        origins,
        [("dataset", f"{data['name']}@{data['version'][:8]}", f"/datasets/{project}/{data['name']}")],
        [("train", version["train_run"], f"/runs/{project}/{version['train_run']}")],
        [
            (
                "model",
                f"{card['model']}@{card['number']}",
                f"/models/{project}/{card['model']}?version={card['number']}",
            )
        ],
        [("service", name, f"/services/{project}/{name}") for name in services],
    ]
    return _drawn([column for column in columns if column])


def _sources(source: object) -> list[str]:
    if isinstance(source, dict):
        return [str(one).rpartition("/")[2] for one in source.values()]
    return [str(source).rpartition("/")[2]] if source else []


def _drawn(columns: Sequence[Sequence[tuple[str, str, str]]]) -> Picture:
    tallest = max(len(column) for column in columns)
    placed = [
        [
            Box(
                what=what,
                name=name,
                link=link,
                x=COLUMN * place,
                y=ROW * (tallest - len(column)) // 2 + ROW * line,
            )
            for line, (what, name, link) in enumerate(column)
        ]
        for place, column in enumerate(columns)
    ]
    lines = [_line(one, other) for before, after in pairwise(placed) for one in before for other in after]
    return Picture(
        boxes=tuple(box for column in placed for box in column),
        lines=tuple(lines),
        width=COLUMN * (len(columns) - 1) + WIDTH,
        height=ROW * (tallest - 1) + HEIGHT,
    )


def _line(one: Box, other: Box) -> str:
    begin, end = one.x + WIDTH, other.x
    from_y, to_y, middle = one.y + HEIGHT // 2, other.y + HEIGHT // 2, (begin + end) // 2
    return f"M{begin} {from_y}C{middle} {from_y} {middle} {to_y} {end} {to_y}"
