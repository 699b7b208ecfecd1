"""What counters grow by in a second, from one look to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from modelhall.core.measures import measure, of
from modelhall.core.ports.sensor import Figure

LEAST_S = 0.1
"""Over less time a figure says more about the clock than about what it counts."""


class Growth:
    """What was counted at the last look, for each subject."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, dict[tuple[str, str], float]]] = {}

    def of(self, subject: str, figures: Iterable[Figure], at: float) -> list[Figure]:
        """The rates of the counters among `figures`, read at `at` by a clock that never jumps.

        A counter that is new, or went back as after a restart, has no rate until the next look; one that has grown
        by more than can be has none either.
        """
        sort = of(subject)
        counters = {(one.name, one.part): one for one in figures if _rate(sort, one.name)}
        before_at, before = self._before.get(subject, (at, {}))
        span_s = at - before_at
        if 0 <= span_s < LEAST_S and before:
            return []
        self._before[subject] = at, {key: one.value for key, one in counters.items()}
        rates = []
        for key, one in counters.items():
            grown = one.value - before.get(key, one.value)
            if key in before and grown >= 0 and span_s > 0:
                rate = replace(one, name=_rate(sort, one.name), value=grown / span_s)
                known = measure(sort, rate.name)
                if known is not None and rate.value <= known.most:
                    rates.append(rate)
        return rates

    def forget(self, subjects: Iterable[str]) -> None:
        """These are no more."""
        for subject in subjects:
            self._before.pop(subject, None)


def _rate(sort: str, name: str) -> str:
    known = measure(sort, name)
    return known.rate if known is not None else ""
