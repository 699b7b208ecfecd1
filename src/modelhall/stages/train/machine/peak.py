"""What the processor can do: measured, not assumed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from modelhall.core import files, stored_json
from modelhall.core.errors import HallError

_SIDE = 1024
_TIMES = 4


def peak_gflops(cache: Path, threads: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """GFLOP/s of fp32 matrix products on so many threads, of which a network can reach a share. Measured once a node:
    `cache` is kept there."""
    path = cache / f"matmul-on-{threads}.json"
    about = {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}
    try:
        known = stored_json.read(path)
        if known["about"] == about:
            return float(known["gflops"])
    except (HallError, LookupError, TypeError, ValueError):
        pass  # nobody has measured it yet, or not wholly
    gflops = matmul_gflops(torch.float32, clock)
    files.write_json(path, {"about": about, "gflops": gflops})
    return gflops


def matmul_gflops(dtype: torch.dtype, clock: Callable[[], float] = time.perf_counter) -> float:
    """The best of a few products of square matrices, after one to warm up."""
    one, other = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    one @ other
    times = []
    for _ in range(_TIMES):
        began = clock()
        one @ other
        times.append(clock() - began)
    return 2 * _SIDE**3 / 1e9 / max(min(times), 1e-9)
