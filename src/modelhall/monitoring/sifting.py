"""Figures that can be true, told from those that cannot: a sensor may lie."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite

from modelhall.core.measures import measure
from modelhall.core.ports.sensor import Figure

LONGEST_PART = 63


def credible(of: str, figures: Iterable[Figure]) -> tuple[list[Figure], int]:
    """The figures about something of the sort `of` that can be true, one of each, and how many others there were."""
    kept: dict[tuple[str, str], Figure] = {}
    refused = 0
    for figure in figures:
        if _is_credible(of, figure) and (figure.name, figure.part) not in kept:
            kept[figure.name, figure.part] = figure
        else:
            refused += 1
    return list(kept.values()), refused


def _is_credible(of: str, figure: Figure) -> bool:
    known = measure(of, figure.name)
    if known is None or not isinstance(figure.value, int | float) or len(figure.part) > LONGEST_PART:
        return False
    return isfinite(figure.value) and known.least <= figure.value <= known.most
