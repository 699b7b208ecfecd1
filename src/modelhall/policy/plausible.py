"""Whether a machine can have what it says it has, which decides how much is started there."""

from __future__ import annotations

from math import isfinite

from modelhall.core.measures import MOST_CPUS
from modelhall.core.ports.launcher import NodeReport

LEAST_BYTES, MOST_BYTES = 2**26, 2**47
"""A machine that runs Python has more memory than the one, and none has the other, 128 TiB."""
MOST_GPUS = 128
LONGEST_NAME = 200


def doubt(report: NodeReport) -> str:
    """What a machine says of itself and cannot be, in words; empty where all of it can."""
    if not (isfinite(report.cpus) and 0 < report.cpus <= MOST_CPUS):
        return f"it says that it has {report.cpus:g} CPUs; a machine has between 0 and {MOST_CPUS}"
    if not LEAST_BYTES <= report.memory_bytes <= MOST_BYTES:
        return f"it says that it has {report.memory_bytes / 2**30:.4g} GiB of memory, which no machine has"
    if not 0 <= report.gpus <= MOST_GPUS:
        return f"it says that it has {report.gpus} GPUs; a machine has at most {MOST_GPUS}"
    if report.gpu_type and not report.gpus:
        return f"it says that its GPUs are {report.gpu_type[:LONGEST_NAME]}, and that it has none"
    return ""
