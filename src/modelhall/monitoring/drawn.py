"""What a node draws: measured where a sensor counts it, and otherwise by the meter's model, which is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from modelhall.core.measures import MOST_W
from modelhall.core.ports.meter import Meter, Use
from modelhall.core.ports.sensor import Figure

MODELLED = "processors"
"""The part that the model stands in for."""
GPU = "gpu"
"""What the parts begin with that say nothing about processors."""


@dataclass(frozen=True, kw_only=True)
class Total:
    """What all parts of a node have drawn since it is watched."""

    energy_j: float
    measured: bool
    source: str


class Drawn:
    """One node since this process began to watch it. It is drawn by processors, which are measured or modelled, and
    by GPUs where there are any."""

    def __init__(self, node: str, meter: Meter) -> None:
        self._node = node
        self._meter = meter
        self._before: tuple[float, float] | None = None
        self._modelled_j = 0.0
        self._counted: dict[str, tuple[float, float]] = {}
        """What each part told when it last told something new, and when that was."""
        self._counted_j = 0.0

    def complete(self, figures: Sequence[Figure], at: float) -> list[Figure]:
        """`figures` with the energy of the processors, if no sensor tells it. `at` is by a clock that never jumps."""
        told = {figure.name: figure.value for figure in figures}
        cpus, cpu_s = told.get("cpus", 0.0), told.get("cpu_s")
        before_at, before_s = self._before or (at, cpu_s)
        use = Use(
            node=self._node,
            cpu_s=max(0.0, cpu_s - before_s) if cpu_s is not None and before_s is not None else 0.0,
            span_s=max(0.0, at - before_at),
            cpus=cpus,
        )
        self._before = at, cpu_s if cpu_s is not None else (before_s or 0.0)
        energy = self._meter.energy(use)
        if any(one.name == "energy_j" and not one.part.startswith(GPU) for one in figures):
            return list(figures)
        self._modelled_j += energy.energy_j
        return [
            *figures,
            Figure(
                name="energy_j", value=self._modelled_j, part=MODELLED, measured=energy.measured,
                source=energy.source,
            ),
        ]  # fmt: skip

    def total(self, figures: Sequence[Figure], at: float) -> Total:
        """What the node has drawn, from what `complete` returned for `at`; a part that begins anew, or is away for a
        while, does not take back what it told before, and one that tells more than can be drawn counts from there."""
        parts = [figure for figure in figures if figure.name == "energy_j"]
        for part in parts:
            before_j, before_at = self._counted.get(part.part, (part.value, at))
            grown_j = part.value - before_j
            if 0 < grown_j <= MOST_W * (at - before_at):
                self._counted_j += grown_j
            if grown_j or part.part not in self._counted:
                self._counted[part.part] = part.value, at
        return Total(
            energy_j=self._counted_j,
            measured=bool(parts) and all(part.measured for part in parts),
            source=" + ".join(sorted({part.source for part in parts})),
        )


def power(rates: Sequence[Figure]) -> list[Figure]:
    """The rates of a node with those of its parts' energy made one figure of its power."""
    parts = [rate for rate in rates if rate.name == "power_w"]
    others = [rate for rate in rates if rate.name != "power_w"]
    if not parts:
        return others
    whole = Figure(
        name="power_w",
        value=fsum(part.value for part in parts),
        measured=all(part.measured for part in parts),
        source=" + ".join(sorted({part.source for part in parts})),
    )
    return [*others, whole]
