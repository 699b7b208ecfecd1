"""What a node has drawn, shared out among those who worked on it.

A node's energy is measured by sensors, or comes from a model. Where it is measured, work is charged in the proportion
the model gives: the model says what part of the whole a piece of work is, idle power of processors held included, and
the sensor says how much the whole is. What nobody is charged for is the node's own: idle processors, the hall itself,
and programs that are not the hall's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import fsum, isfinite
from typing import NamedTuple

from modelhall.core.kinds import Key
from modelhall.core.ports.book import NOBODY, Entry
from modelhall.core.ports.meter import Energy, Meter, Use
from modelhall.ledger.rates import Prices, Share, price

LEAST_S = 20.0
"""Over less time the whole is not known well enough to share it out."""
MOST_SCALE = 100.0
CLOSE_EVERY_S = 60.0
"""How often what nobody is charged for is entered."""


@dataclass(frozen=True, kw_only=True)
class NodeReading:
    """What a node has drawn and worked since `since`."""

    node: str
    since: float
    """When it began to be watched; another one when it began anew."""
    at: float
    cpus: float
    cpu_s: float
    """Of all programs on it, whosever they are."""
    energy_j: float
    measured: bool
    source: str

    @property
    def is_credible(self) -> bool:
        figures = (self.since, self.at, self.cpus, self.cpu_s, self.energy_j)
        return all(isfinite(figure) and figure >= 0 for figure in figures)


class SharedOut:
    """The meter port: a model, held to what sensors have measured of the whole."""

    def __init__(self, model: Meter) -> None:
        self._model = model
        self._before: dict[str, NodeReading] = {}
        self._scale: dict[str, tuple[float, NodeReading]] = {}

    def see(self, reading: NodeReading) -> None:
        """Take in what a node has drawn."""
        before = self._before.get(reading.node)
        if before is None or before.since != reading.since:
            self._before[reading.node] = reading
            self._scale.pop(reading.node, None)
        elif reading.at - before.at >= LEAST_S:
            self._before[reading.node] = reading
            scale = self._scale_of(before, reading)
            if scale is None:
                self._scale.pop(reading.node, None)
            else:
                self._scale[reading.node] = scale, reading

    def energy(self, use: Use) -> Energy:
        energy = self._model.energy(use)
        if use.node not in self._scale:
            return energy
        scale, reading = self._scale[use.node]
        return replace(
            energy,
            energy_j=energy.energy_j * scale,
            idle_j=energy.idle_j * scale,
            measured=True,
            source=f"{reading.source}, shared out by {energy.source}",
        )

    def _scale_of(self, before: NodeReading, now: NodeReading) -> float | None:
        """What was measured for a joule of the model; None when nothing was measured."""
        if not (before.measured and now.measured):
            return None
        cpu_s = max(0.0, now.cpu_s - before.cpu_s)
        whole = Use(node=now.node, cpu_s=cpu_s, span_s=now.at - before.at, cpus=now.cpus)
        modelled_j = self._model.energy(whole).energy_j
        drawn_j = now.energy_j - before.energy_j
        if modelled_j <= 0 or drawn_j < 0:
            return None
        return min(MOST_SCALE, drawn_j / modelled_j)


class Account(NamedTuple):
    """How far a node's energy is in the book. Whatever is entered for its work is taken from `owed_j` at once."""

    since: float
    """Of the newest reading that was taken in."""
    at: float
    energy_j: float
    entered_at: float
    """When what nobody is charged for was entered last."""
    owed_j: float
    """Drawn, and in no entry yet. Less than nothing where work was charged before it was seen to be drawn."""

    @classmethod
    def named(cls, node: str) -> list[str]:
        """What its figures are called among the book's marks."""
        return [f"node/{node}/{field}" for field in cls._fields]

    @classmethod
    def of(cls, node: str, marks: Mapping[str, float]) -> Account:
        return cls(*(marks.get(name, 0.0) for name in cls.named(node)))

    def marks(self, node: str) -> dict[str, float]:
        return dict(zip(self.named(node), self, strict=True))

    def is_due(self, reading: NodeReading) -> bool:
        """Whether it is time to enter what nobody is charged for."""
        return reading.since == self.since and reading.at - self.entered_at >= CLOSE_EVERY_S

    def charged(self, node: str, entries: Iterable[Entry]) -> Account:
        """The account after these entries."""
        path = _path(node)
        return self._replace(
            owed_j=self.owed_j - fsum(entry.energy_j for entry in entries if entry.credit == path)
        )

    def drawn(self, reading: NodeReading) -> Account:
        """The account after what the node has drawn since the last reading.

        While nobody watched, what it drew is taken to be what work was charged for.
        """
        goes_on = reading.since == self.since
        owed_j = self.owed_j + max(0.0, reading.energy_j - (self.energy_j if goes_on else 0.0))
        return self._replace(
            since=reading.since,
            at=reading.at,
            energy_j=max(reading.energy_j, self.energy_j) if goes_on else reading.energy_j,
            entered_at=self.entered_at if goes_on else reading.since,
            owed_j=owed_j if goes_on else max(0.0, owed_j),
        )

    def entered(self, reading: NodeReading, prices: Prices) -> tuple[Account, list[Entry]]:
        """The account after an entry for what nobody is charged for, and that entry, if there is any of it."""
        if self.owed_j <= 0:
            return self, []
        (cost,) = price([Share(0.0, self.owed_j, prices.over(self.entered_at, self.at))])
        entry = Entry(
            id=f"idle/{reading.node}/{self.since!r}/{self.energy_j!r}",
            at=self.at,
            project=NOBODY,
            debit=Key("idle", "default", reading.node).path,
            credit=_path(reading.node),
            energy_j=self.owed_j,
            energy_source=reading.source,
            measured=reading.measured,
            co2_g=cost.co2_g,
            cost_nano=cost.cost_nano,
        )
        return self._replace(owed_j=0.0, entered_at=self.at), [entry]


def _path(node: str) -> str:
    return Key("node", "default", node).path
