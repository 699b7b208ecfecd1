"""Processors, memory, disks and network, as the operating system counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from modelhall.core.ports.sensor import Figure

LOOPBACK = "lo"


def open_sensor(home: Path) -> Machine:
    """The machine with the disk that `home` is on."""
    return Machine(home)


class Machine:
    """The sensor port over psutil."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def read(self) -> Sequence[Figure]:
        return [Figure(name=name, value=value, source="operating system") for name, value in self._figures()]

    def _figures(self) -> Iterator[tuple[str, float]]:
        cpus = _cpus()
        yield "cpus", len(cpus)
        yield "cpu_s", sum(map(_busy_s, cpus))
        memory = psutil.virtual_memory()
        yield "memory_bytes", memory.total
        yield "memory_used_bytes", memory.total - memory.available
        disk = os.statvfs(self._home)
        # As `df` counts it: what is kept for root is neither taken nor there to be had.
        used_bytes = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        yield "disk_used_bytes", used_bytes
        yield "disk_bytes", used_bytes + disk.f_bavail * disk.f_frsize
        disks = psutil.disk_io_counters()
        if disks is not None:
            yield "disk_read_bytes", disks.read_bytes
            yield "disk_written_bytes", disks.write_bytes
        links = [link for name, link in psutil.net_io_counters(pernic=True).items() if name != LOOPBACK]
        yield "network_received_bytes", sum(link.bytes_recv for link in links)
        yield "network_sent_bytes", sum(link.bytes_sent for link in links)


def _cpus() -> list[object]:
    """The times of the processors this process may use."""
    times = psutil.cpu_times(percpu=True)
    if not hasattr(os, "sched_getaffinity"):
        return list(times)
    allowed = os.sched_getaffinity(0)
    return [found for number, found in enumerate(times) if number in allowed]


def _busy_s(times: object) -> float:
    """Guests are in `user` already; what was stolen was another machine's work."""
    parts = ("user", "nice", "system", "irq", "softirq")
    return sum(float(getattr(times, part, 0.0)) for part in parts)
