"""Many spans of a figure made one wider one."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Folded(NamedTuple):
    """What a figure was over some time: as often as it was read, it weighs."""

    times: float
    mean: float
    least: float
    most: float


def once(value: float) -> Folded:
    """One reading."""
    return Folded(1.0, value, value, value)


def together(parts: Sequence[Folded]) -> Folded:
    """All of them, of which there is at least one, as one."""
    times = math.fsum(part.times for part in parts)
    return Folded(
        times=times,
        mean=math.fsum(part.times / times * part.mean for part in parts),
        least=min(part.least for part in parts),
        most=max(part.most for part in parts),
    )


def packed(values: Iterable[Folded], *, is_reading: bool) -> bytes:
    """As they lie in the file: in single precision, a reading as its value alone."""
    if is_reading:
        return array("f", [value.mean for value in values]).tobytes()
    return array("f", [figure for value in values for figure in value]).tobytes()


def unpacked(data: bytes, *, is_reading: bool) -> Iterator[Folded]:
    """The inverse of `packed`."""
    figures = array("f")
    figures.frombytes(data)
    if is_reading:
        return map(once, figures)
    return (Folded(*figures[at : at + 4]) for at in range(0, len(figures), 4))
