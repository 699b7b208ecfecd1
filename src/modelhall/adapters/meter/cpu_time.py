"""Energy from processor time: a model for machines without a power sensor, and marked as an estimate.

    joules = idle_w · processors held · seconds held  +  (busy_w − idle_w) · processor seconds

Work that holds no processor (`cpus: 0`) pays nothing for waiting and the whole `busy_w` for working. What
processors draw that nobody holds is charged to nobody.

The defaults are Cloud Carbon Footprint's averages over server processors, for one processor as the operating
system counts them: 0.74 W idle and 3.5 W busy (cloudcarbonfootprint.org/docs/methodology, "Compute", AWS; its
figures for GCP and Azure are 0.71 / 4.26 and 0.78 / 3.76). They divide the wall power of whole servers in
SPECpower_ssj2008, so memory and power supplies are in them; GPUs are not. Single machines are off by a factor
of two and more in either direction: an operator who knows the machine sets its own figures.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelhall.core.errors import Rejected
from modelhall.core.ports.meter import Energy, Use

BUSY_W = 3.5
IDLE_W = 0.74


def open_meter() -> CpuTimeMeter:
    """The model with its published figures."""
    return CpuTimeMeter()


@dataclass(frozen=True, kw_only=True)
class CpuTimeMeter:
    """The meter port as a formula. Raises Rejected unless 0 ≤ `idle_w` ≤ `busy_w`."""

    busy_w: float = BUSY_W
    """Watts of a processor at work, its idle power included."""
    idle_w: float = IDLE_W
    """Watts of a processor that is held and does nothing."""

    def __post_init__(self) -> None:
        if not 0 <= self.idle_w <= self.busy_w < float("inf"):
            raise Rejected(
                f"a processor cannot draw {self.idle_w} W idle and {self.busy_w} W busy; "
                "it takes 0 ≤ idle_w ≤ busy_w"
            )

    def energy(self, use: Use) -> Energy:
        idle_j = self.idle_w * use.cpus * use.span_s
        work_w = self.busy_w - self.idle_w if use.cpus else self.busy_w
        return Energy(
            energy_j=idle_j + work_w * use.cpu_s, idle_j=idle_j, measured=False, source=self._source
        )

    @property
    def _source(self) -> str:
        return f"cpu-time model: {self.busy_w:g} W per busy processor, {self.idle_w:g} W per idle one held"
