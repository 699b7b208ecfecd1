"""Power of processors and memory, as the processor itself counts it (RAPL), through Linux' powercap.

Read are packages and the memory beside them. Since 2020 kernels let root alone read these files
(CVE-2020-8694); whoever runs a hall as somebody else makes them readable by a rule of udev.
The files are described in the kernel's Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelhall.core.ports.sensor import Figure

POWERCAP = Path("/sys/class/powercap")
PREFIX = "intel-rapl:"
"""Of AMD's, too."""


def open_sensor(home: Path) -> Rapl | None:
    """What this machine's processors count, if they do and it may be read."""
    return open_below(POWERCAP)


def open_below(folder: Path) -> Rapl | None:
    """The zones in `folder` that count what no other one does."""
    zones = [_Zone(path) for path in sorted(folder.glob(f"{PREFIX}*")) if _is_counted(path)]
    return Rapl(zones) if zones else None


class Rapl:
    """The sensor port over the counters of some zones."""

    def __init__(self, zones: Sequence[_Zone]) -> None:
        self._zones = zones

    def read(self) -> Sequence[Figure]:
        return [
            Figure(name="energy_j", value=zone.energy_j(), part=zone.name, source=f"RAPL {zone.name}")
            for zone in self._zones
        ]


class _Zone:
    """One counter, which begins anew at a round figure every few minutes to hours."""

    def __init__(self, folder: Path) -> None:
        self.name = _word(folder)
        parent = folder.name.rpartition(":")[0]
        if f"{parent}:" != PREFIX:
            self.name = f"{_word(folder.parent / parent)} {self.name}"
        self._counter = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = self._read_uj()
        self._total_uj = 0

    def energy_j(self) -> float:
        """What was drawn since this was opened."""
        now_uj = self._read_uj()
        grown_uj = now_uj - self._last_uj
        self._total_uj += grown_uj if grown_uj >= 0 else grown_uj + self._range_uj
        self._last_uj = now_uj
        return self._total_uj / 1e6

    def _read_uj(self) -> int:
        try:
            return int(self._counter.read_text())
        except ValueError as error:
            raise OSError(f"{self._counter} holds no number: {error}") from None


def _is_counted(folder: Path) -> bool:
    """Whether a zone is a package, or memory beside one, and may be read. Cores are in their package, and a
    platform holds packages."""
    try:
        int((folder / "energy_uj").read_text())
        return _word(folder).startswith(("package", "dram"))
    except (OSError, ValueError):
        return False


def _word(folder: Path) -> str:
    return (folder / "name").read_text().strip()
