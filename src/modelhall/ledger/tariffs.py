"""What a kilowatt hour costs and weighs, by the time it is drawn at.

A tariff is a price for some hours of some days. Carbon is told by a file of two columns, an instant and the grams of
CO2e for a kilowatt hour from then on, as grid operators publish it. Times of day are those of one time zone.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from itertools import pairwise
from math import fsum, isfinite
from pathlib import Path

from modelhall.core.errors import Rejected
from modelhall.core.tariff import Tariff

LONGEST_S = 32 * 86400.0
"""Over more time than this no mean is taken; the price is that of its end."""


class Tariffs:
    """The prices of a week; the first tariff that holds counts, and `otherwise` where none does."""

    def __init__(self, tariffs: Sequence[Tariff], zone: tzinfo, *, otherwise: float) -> None:
        self._tariffs = tuple(tariffs)
        self._zone = zone
        self._otherwise = otherwise

    def mean(self, since: float, until: float) -> float:
        """The price of a kilowatt hour that is drawn evenly from `since` to `until`."""
        if not self._tariffs:
            return self._otherwise
        if not 0 < until - since <= LONGEST_S:
            return self._at(until)
        edges = [since, *self._edges(since, until), until]
        return fsum((after - before) * self._at(before) for before, after in pairwise(edges)) / (
            until - since
        )

    def _at(self, at: float) -> float:
        there = datetime.fromtimestamp(at, self._zone)
        return next((one.price_per_kwh for one in self._tariffs if one.holds(there)), self._otherwise)

    def _edges(self, since: float, until: float) -> list[float]:
        """The instants in between at which the price may change."""
        day = datetime.fromtimestamp(since, self._zone).date()
        clocks = {clock for one in self._tariffs for clock in (one.begins, one.ends)} | {time.min}
        found = set()
        while datetime.combine(day, time.min, self._zone).timestamp() < until:
            found |= {datetime.combine(day, clock, self._zone).timestamp() for clock in clocks}
            # By the calendar: a day on which the clock is changed is not 24 hours long.
            day += timedelta(days=1)
        return sorted(edge for edge in found if since < edge < until)


class Carbon:
    """Grams of CO2e for a kilowatt hour: steps in time, and a constant where no step is known."""

    def __init__(self, steps: Sequence[tuple[float, float]], *, otherwise: float) -> None:
        """`steps` are instants in order with what holds from then on, the last one for as long as the one before."""
        self._ats = [at for at, _ in steps]
        self._grams = [grams for _, grams in steps]
        self._otherwise = otherwise
        self._ends = self._ats[-1] + (self._ats[-1] - self._ats[-2]) if len(steps) > 1 else 0.0

    def mean(self, since: float, until: float) -> float:
        """What a kilowatt hour weighs that is drawn evenly from `since` to `until`."""
        if not self._ats:
            return self._otherwise
        if not 0 < until - since <= LONGEST_S:
            return self._at(until)
        first, last = bisect_right(self._ats, since), bisect_right(self._ats, until)
        edges = [since, *self._ats[first:last], until]
        if since < self._ends < until:
            edges = sorted({*edges, self._ends})
        return fsum((after - before) * self._at(before) for before, after in pairwise(edges)) / (
            until - since
        )

    def _at(self, at: float) -> float:
        place = bisect_right(self._ats, at) - 1
        return self._grams[place] if place >= 0 and at < self._ends else self._otherwise


def read_carbon(path: Path, *, otherwise: float) -> Carbon:
    """The steps in a CSV file: a head, then ISO 8601 instants (UTC if not said) and grams. Raises Rejected."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Rejected(f"cannot be read: {error}", field="carbon_file", file=str(path)) from None
    steps: list[tuple[float, float]] = []
    for line, row in enumerate(rows, 2):
        step = _step(row)
        if step is None:
            wrong = ",".join(row)[:80]
            raise Rejected(
                "a line is an instant and the grams for a kilowatt hour, such as 2026-01-01T00:00,312, "
                f"not {wrong!r}",
                file=str(path), line=line,
            )  # fmt: skip
        if steps and step[0] <= steps[-1][0]:
            raise Rejected("instants must be in order, each once", file=str(path), line=line)
        steps.append(step)
    if len(steps) < 2:
        raise Rejected("it takes two instants at least", file=str(path))
    return Carbon(steps, otherwise=otherwise)


def _step(row: Sequence[str]) -> tuple[float, float] | None:
    try:
        at, grams = datetime.fromisoformat(row[0]), float(row[1])
    except (IndexError, ValueError):
        return None
    if not (isfinite(grams) and grams >= 0):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp(), grams
