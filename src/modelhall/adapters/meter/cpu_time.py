"""Energy from processor time: a model for machines without a power sensor, and marked as an estimate.

    joules = idle_w · processors held · seconds held  +  (busy_w − idle_w) · processor seconds

Work that holds no processor (`cpus: 0`) pays nothing for waiting and the whole `busy_w` for working. What
processors draw that nobody holds is charged to nobody.

The defaults are Cloud Carbon Footprint's averages over server processors, for one processor as the operating
system counts them: 0.74 W idle and 3.5 W busy (cloudcarbonfootprint.org/docs/methodology, "Compute", AWS; its
figures for GCP and Azure are 0.71 / 4.26 and 0.78 / 3.76), or those of one sort of processor where its name tells
which it is (github.com/cloud-carbon-footprint/ccf-coefficients, output/coefficients-aws-use.csv, 2026).
They divide the wall power of whole servers in
SPECpower_ssj2008, so memory and power supplies are in them; GPUs are not. Single machines are off by a factor
of two and more in either direction: an operator who knows the machine sets its own figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelhall.core.errors import Rejected
from modelhall.core.ports.meter import Energy, Use

BUSY_W = 3.5
IDLE_W = 0.74
SORTS: tuple[tuple[str, str, float, float], ...] = (
    (r"EPYC 7\w\w1\b", "EPYC 1st Gen", 0.847, 2.604),
    (r"EPYC 7\w\w2\b", "EPYC 2nd Gen", 0.474, 1.693),
    (r"EPYC 7\w\w3\b", "EPYC 3rd Gen", 0.456, 1.957),
    (r"EPYC 9\w\w4\b", "EPYC 4th Gen", 0.739, 2.282),
    (r"Xeon.* E5-\d+\w* v2\b", "Ivy Bridge", 1.707, 5.557),
    (r"Xeon.* E5-\d+\w* v3\b", "Haswell", 1.857, 5.595),
    (r"Xeon.* E5-\d+\w* v4\b", "Broadwell", 0.713, 3.685),
    (r"Xeon.* E5-\d+\w*\b(?! v)", "Sandy Bridge", 2.212, 8.631),
    (r"Xeon.* (Platinum|Gold|Silver|Bronze) \d1\d\d", "Skylake", 0.613, 4.104),
    (r"Xeon.* (Platinum|Gold|Silver|Bronze) \d2\d\d", "Cascade Lake", 0.690, 4.063),
    (r"Xeon.* (Platinum|Gold|Silver|Bronze) \d3\d\d", "Ice Lake", 0.767, 3.758),
    (r"Xeon.* (Platinum|Gold|Silver|Bronze) \d4\d\d", "Sapphire Rapids", 1.036, 4.160),
    (r"Xeon.* (Platinum|Gold|Silver|Bronze) \d5\d\d", "Emerald Rapids", 0.814, 4.482),
)
"""What the name of a processor looks like, what sort that is, and its watts idle and busy."""


def open_meter() -> CpuTimeMeter:
    """The model with its published figures."""
    return CpuTimeMeter()


def model_of(processor: str) -> CpuTimeMeter:
    """The model for a processor by its name; the average one for a name that does not tell."""
    for looks, sort, idle_w, busy_w in SORTS:
        if re.search(looks, processor):
            return CpuTimeMeter(busy_w=busy_w, idle_w=idle_w, processor=sort)
    return CpuTimeMeter()


@dataclass(frozen=True, kw_only=True)
class CpuTimeMeter:
    """The meter port as a formula. Raises Rejected unless 0 ≤ `idle_w` ≤ `busy_w`."""

    busy_w: float = BUSY_W
    """Watts of a processor at work, its idle power included."""
    idle_w: float = IDLE_W
    """Watts of a processor that is held and does nothing."""
    processor: str = ""
    """What sort of processor these are the watts of, for people to read."""

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
        of = f" of {self.processor}" if self.processor else ""
        return (
            f"cpu-time model{of}: {self.busy_w:g} W per busy processor, {self.idle_w:g} W per idle one held"
        )
