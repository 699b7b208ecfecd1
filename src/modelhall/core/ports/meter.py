"""What work costs a machine in energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Joules, and where the figure comes from."""

    energy_j: float
    measured: bool
    """False when a model was used instead of a sensor."""
    source: str
    """The sensor, or the model with its constants, in words."""


class Meter(Protocol):
    def energy(self, cpu_s: float, span_s: float) -> Energy:
        """The energy of work that used `cpu_s` seconds of processor time over `span_s` seconds of time."""
        ...
