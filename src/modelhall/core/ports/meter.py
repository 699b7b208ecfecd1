"""What work costs a machine in energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a piece of work took of a node."""

    node: str
    cpu_s: float
    """Processor time."""
    span_s: float = 0.0
    """How long it held `cpus`."""
    cpus: float = 0.0
    """Processors held for it alone, busy or not; 0 when it only takes what is free."""


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules, and where the figure comes from."""

    energy_j: float
    idle_j: float = 0.0
    """The part of `energy_j` that holding the processors costs, whether or not they work."""
    measured: bool
    """False when a model was used instead of a sensor."""
    source: str
    """The sensor, or the model with its constants, in words."""


class Meter(Protocol):
    def energy(self, use: Use) -> Energy:
        """The energy of `use` at the machine, without what cooling and distribution add (PUE). Without
        processor time it is what holding costs, `idle_j`; without processors held, that is 0."""
        ...
