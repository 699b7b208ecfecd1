"""Slurm's words about a node, and what each means for a node of the hall."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from modelhall.adapters.launcher._slurm.commands import rows
from modelhall.core.names import is_name
from modelhall.core.ports.launcher import NodeReport

NAME = "slurm"
LOST = frozenset({"down", "future"})
UNFIT = frozenset(
    {
        "blocked", "drain", "drained", "draining", "error", "fail", "failing", "invalid", "invalid_reg", "maint",
        "maintenance", "not_responding", "perfctrs", "reboot_issued", "reboot_requested", "unknown",
    }
)  # fmt: skip
"""Nothing new is started there; what runs goes on until Slurm says that the node is down."""
GPU = re.compile(r"gpu:(?:(?P<type>[^:(),]+):)?(?P<count>\d+)")


@dataclass(frozen=True, kw_only=True)
class SlurmNode:
    name: str
    """As Slurm has it, which may be no name for a hall."""
    partitions: tuple[str, ...]
    """Those of the hall's that it is in."""
    report: NodeReport


def read(table: str) -> dict[str, SlurmNode]:
    """The nodes in a table of `Commands.nodes`, by their names in the hall. One that cannot have a name there, or
    whose figures make no sense, is left out."""
    found: dict[str, SlurmNode] = {}
    for name, partition, address, cpus, memory, gres, state, reason in rows(table, 8):
        own = re.sub(r"[^a-z0-9]", "-", name.lower())
        if not (is_name(own) and cpus.isdecimal() and memory.isdecimal()):
            continue
        report = _report(own, address, int(cpus), int(memory), gres, state, reason)
        before = found[own].partitions if own in found else ()
        found[own] = SlurmNode(name=name, partitions=(*before, partition.rstrip("*")), report=report)
    return found


def out_of_touch(node: SlurmNode, why: str) -> NodeReport:
    """The node while Slurm does not answer: what runs there goes on, and nothing is started."""
    return replace(node.report, unfit=f"Slurm does not answer: {why}")


def _report(
    name: str, address: str, cpus: int, memory_mib: int, gres: str, state: str, reason: str
) -> NodeReport:
    words = set(state.lower().split("+"))
    said = f"Slurm says {state}" + (f": {reason}" if reason not in ("", "none") else "")
    gpus, gpu_type = _gpus(gres)
    return NodeReport(
        name=name,
        cpus=float(cpus),
        memory_bytes=memory_mib * 2**20,
        processor="",
        gpus=gpus,
        gpu_type=gpu_type,
        ready=not words & LOST,
        address=address,
        launcher=NAME,
        unfit=said if words & (LOST | UNFIT) else "",
    )


def _gpus(gres: str) -> tuple[int, str]:
    """How many GPUs there are and of which type: of a node with several types, of the one it has most of."""
    counts: dict[str, int] = {}
    for found in GPU.finditer(gres):
        counts[found["type"] or ""] = counts.get(found["type"] or "", 0) + int(found["count"])
    return max(((count, type) for type, count in counts.items()), default=(0, ""))
