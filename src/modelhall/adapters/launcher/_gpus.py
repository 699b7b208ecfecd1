"""Which GPUs this machine has, as NVIDIA's driver tells; none without the extra `nvidia`, or without a driver."""

from __future__ import annotations

from typing import Any, NamedTuple

MAKERS = ("NVIDIA ", "Tesla ", "GeForce ")


class Gpus(NamedTuple):
    number: int = 0
    type: str = ""
    """Such as H100-80GB-HBM3; nothing where they are not all alike."""


def here() -> Gpus:
    """Those of this machine."""
    try:
        # Imported here since it is of an extra, and most machines have nothing that it could tell of.
        import pynvml
    except ImportError:
        return Gpus()
    return told_by(pynvml)


def told_by(library: Any) -> Gpus:
    """Those that NVML, as a library, knows of."""
    try:
        library.nvmlInit()
        devices = [
            library.nvmlDeviceGetHandleByIndex(number) for number in range(library.nvmlDeviceGetCount())
        ]
        types = {_type_of(library.nvmlDeviceGetName(device)) for device in devices}
    except library.NVMLError:
        return Gpus()
    return Gpus(len(devices), types.pop() if len(types) == 1 else "")


def _type_of(name: str | bytes) -> str:
    told = name.decode() if isinstance(name, bytes) else name
    for maker in MAKERS:
        told = told.removeprefix(maker)
    return "-".join(told.split())[:63]
