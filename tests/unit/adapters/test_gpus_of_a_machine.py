"""Which GPUs a machine is said to have: what NVML answers, which is made up here, since there are none."""

from __future__ import annotations

import pytest

from modelhall.adapters.launcher import _gpus
from modelhall.adapters.launcher._gpus import Gpus


class Nvml:
    """As much of the library as is asked."""

    NVMLError = RuntimeError

    def __init__(self, *names: str | bytes, has_driver: bool = True) -> None:
        self._names = names
        self._has_driver = has_driver

    def nvmlInit(self) -> None:
        if not self._has_driver:
            raise RuntimeError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self) -> int:
        return len(self._names)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetName(self, device: int) -> str | bytes:
        return self._names[device]


@pytest.mark.parametrize(
    ("library", "told"),
    [
        (Nvml("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"), Gpus(2, "H100-80GB-HBM3")),
        (Nvml(b"Tesla T4"), Gpus(1, "T4")),
        (Nvml("NVIDIA GeForce RTX 4090", "NVIDIA H100"), Gpus(2, "")),
        (Nvml(), Gpus(0, "")),
        (Nvml("NVIDIA H100", has_driver=False), Gpus(0, "")),
    ],
)
def test_gpus_are_counted_and_named_where_they_are_alike(library: Nvml, told: Gpus) -> None:
    assert _gpus.told_by(library) == told
