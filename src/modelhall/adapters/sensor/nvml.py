"""GPUs of NVIDIA, as their driver tells through NVML. Takes the extra `nvidia`; without it, or without a driver,
there is nothing to read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelhall.core.ports.sensor import Figure


def open_sensor(home: Path) -> Nvml | None:
    """All GPUs of this machine; None when the library, the driver or a GPU is missing."""
    try:
        # Imported here since it is of an extra, and most machines have nothing that it could tell of.
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return None
    return Nvml(pynvml, count) if count else None


class Nvml:
    """The sensor port over the library, which is handed in once it is ready."""

    def __init__(self, library: Any, count: int) -> None:
        self._library = library
        self._devices = [library.nvmlDeviceGetHandleByIndex(number) for number in range(count)]

    def read(self) -> Sequence[Figure]:
        try:
            return [
                Figure(name=name, value=value, part=f"gpu{number}", source=f"NVML gpu{number}")
                for number, device in enumerate(self._devices)
                for name, value in self._figures(device)
            ]
        except self._library.NVMLError as error:
            raise OSError(f"NVML: {error}") from error

    def _figures(self, device: Any) -> Iterator[tuple[str, float]]:
        library = self._library
        memory = library.nvmlDeviceGetMemoryInfo(device)
        yield "gpu_used_share", library.nvmlDeviceGetUtilizationRates(device).gpu / 100
        yield "gpu_memory_bytes", memory.total
        yield "gpu_memory_used_bytes", memory.used
        yield "temperature_c", library.nvmlDeviceGetTemperature(device, library.NVML_TEMPERATURE_GPU)
        # GPUs before Volta do not count it.
        with contextlib.suppress(library.NVMLError_NotSupported):
            yield "energy_j", library.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3
