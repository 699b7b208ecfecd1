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

Clock = Callable[[], float]


def peak_gflops(cache: Path, threads: int, clock: Clock = time.perf_counter) -> float:
    """GFLOP/s of fp32 matrix products on so many threads, of which a network can reach a share. Measured once a node:
    `cache` is kept there."""
    return _once(cache / f"matmul-on-{threads}.json", lambda: matmul_gflops(torch.float32, clock))


def bfloat16_gain(cache: Path, threads: int, clock: Clock = time.process_time) -> float:
    """How many times as fast matrix products are in bfloat16 as in fp32. Measured once a node, and by processor time:
    what else the node does must not decide in which numbers a network learns."""
    return _once(
        cache / f"bfloat16-on-{threads}.json",
        lambda: matmul_gflops(torch.bfloat16, clock) / matmul_gflops(torch.float32, clock),
    )


def _once(path: Path, measure: Callable[[], float]) -> float:
    """What was measured here before with the same library and processor, or else what is measured now."""
    about = {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}
    try:
        known = stored_json.read(path)
        if known["about"] == about:
            return float(known["found"])
    except (HallError, LookupError, TypeError, ValueError):
        pass  # nobody has measured it yet, or not wholly
    found = measure()
    files.write_json(path, {"about": about, "found": found})
    return found


def matmul_gflops(dtype: torch.dtype, clock: Clock = time.perf_counter) -> float:
    """The best of a few products of square matrices, after one to warm up."""
    one, other = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    one @ other
    times = []
    for _ in range(_TIMES):
        began = clock()
        one @ other
        times.append(clock() - began)
    return 2 * _SIDE**3 / 1e9 / max(min(times), 1e-9)
