"""All nodes as they are watched: the hall's own machine by its instruments, others by what their agents tell."""

from __future__ import annotations

from collections.abc import Iterable

from modelhall.app.monitoring.instruments import Instruments
from modelhall.app.monitoring.machine import Machine
from modelhall.app.power import PowerModels
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.sensor import Figure
from modelhall.ledger.node import NodeReading
from modelhall.monitoring.sifting import credible

STALE_S = 60.0
"""What was told longer ago is not told any more."""
MOST_FIGURES = 500
"""Of one node; an agent that tells more is not believed the rest."""


class Machines:
    """The nodes that one control plane watches."""

    def __init__(self, home: str, instruments: Instruments, models: PowerModels, clock: Clock) -> None:
        """`home` is the machine that `instruments` are of."""
        self._home = Machine(home, models, since=clock.now(), at=clock.monotonic())
        self._name = home
        self._instruments = instruments
        self._models = models
        self._clock = clock
        self._others: dict[str, Machine] = {}
        self._heard_at: dict[str, float] = {}
        """When, by the hall's clock, something new was heard of each of them."""

    async def look(self, reports: Iterable[NodeReport]) -> dict[str, list[Figure]]:
        """What is told of each node, by its path, of those whose sensors anything is known of."""
        await self._read_home()
        reported = {report.name: report for report in reports if report.figures and report.name != self._name}
        self._others = {name: one for name, one in self._others.items() if name in reported}
        for report in reported.values():
            self._hear(report)
        return {one.path: one.told() for one in (self._home, *self._fresh())}

    async def readings(self) -> list[NodeReading]:
        """What each of them has drawn until now, for the ledger; the hall's own machine first."""
        await self._read_home()
        return [one.reading() for one in (self._home, *self._fresh())]

    async def _read_home(self) -> None:
        self._home.take(await self._instruments.read(), self._clock.monotonic())

    def _hear(self, report: NodeReport) -> None:
        """Take in what an agent has told, if it is new."""
        known = self._others.get(report.name)
        if known is not None and known.at == report.read_at:
            return
        self._models.learn(report.name, report.processor)
        # A clock that went back is that of a machine that was started again.
        if known is None or report.read_at < known.at:
            known = Machine(report.name, self._models, since=self._clock.now(), at=report.read_at)
            self._others[report.name] = known
        figures, _ = credible("node", report.figures[:MOST_FIGURES])
        known.take(figures, report.read_at)
        self._heard_at[report.name] = self._clock.monotonic()

    def _fresh(self) -> list[Machine]:
        now = self._clock.monotonic()
        return [one for name, one in sorted(self._others.items()) if now - self._heard_at[name] < STALE_S]
