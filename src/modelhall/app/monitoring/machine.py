"""One node as it is watched: what its sensors tell, and what follows from that."""

from __future__ import annotations

from collections.abc import Sequence

from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.meter import Meter
from modelhall.core.ports.sensor import Figure
from modelhall.ledger.node import NodeReading
from modelhall.monitoring.drawn import Drawn, power
from modelhall.monitoring.filling import Filling
from modelhall.monitoring.growth import Growth


class Machine:
    """A node since it began to be watched. All times are by the node's own clock that nobody sets."""

    def __init__(self, node: str, meter: Meter, *, since: float, at: float) -> None:
        """`since` is when it began by the hall's clock, which is `at` by the node's."""
        self.path = Key("node", DEFAULT_PROJECT, node).path
        self.at = at
        """When its sensors were read last."""
        self._node = node
        self._since = since
        self._began = at
        self._figures: list[Figure] = []
        self._drawn = Drawn(node, meter)
        self._filling = Filling()
        self._growth = Growth()
        self._told: list[Figure] = []
        self._told_at: float | None = None

    def take(self, figures: Sequence[Figure], at: float) -> None:
        """Take in what its sensors said `at` an instant."""
        self._figures, self.at = self._drawn.complete(figures, at), at

    def told(self) -> list[Figure]:
        """What is told of it: what was read, what counters grew by since this was asked last, and its disk. The same
        again while nothing was read since."""
        if self._told_at != self.at:
            figures = [*self._figures, *self._disk()]
            self._told = [*figures, *power(self._growth.of(self.path, figures, self.at))]
            self._told_at = self.at
        return list(self._told)

    def reading(self) -> NodeReading:
        """What it has drawn until it was read last, for the ledger."""
        told = {figure.name: figure.value for figure in self._figures if not figure.part}
        total = self._drawn.total(self._figures, self.at)
        return NodeReading(
            node=self._node,
            since=self._since,
            # By the clock that never jumps, so that what the node drew is of the time that has passed.
            at=self._since + self.at - self._began,
            cpus=told.get("cpus", 0.0),
            cpu_s=told.get("cpu_s", 0.0),
            energy_j=total.energy_j,
            measured=total.measured,
            source=total.source,
        )

    def _disk(self) -> list[Figure]:
        told = {figure.name: figure.value for figure in self._figures if not figure.part}
        used_bytes, size_bytes = told.get("disk_used_bytes"), told.get("disk_bytes")
        if used_bytes is None or not size_bytes:
            return []
        share = min(1.0, used_bytes / size_bytes)
        figures = [Figure(name="disk_used_share", value=share, source="operating system")]
        left_s = self._filling.left_s(used_bytes, size_bytes, self.at)
        if left_s is not None:
            source = "line through the last half hour"
            figures.append(Figure(name="disk_left_s", value=left_s, measured=False, source=source))
        return figures
