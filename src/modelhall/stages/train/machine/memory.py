"""Whether a training fits before it starts: what it will hold, against what it may.

What rows take is measured by a rehearsal. The rest follows from the number of weights: what the optimizer remembers
of each, the average and the best weights, and a checkpoint on its way to the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from torch import nn

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.stages.train.machine.rehearsal import Rehearsal

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes."""

    held: int
    """Whatever the rows: the process as it is, the gradients, and what will be remembered."""
    row: int
    """For each row that goes through together with others."""

    def of(self, rows: int) -> int:
        return self.held + rows * self.row

    def most_rows(self, limit_bytes: int) -> int:
        return max(0, (limit_bytes - self.held) // self.row)


def need(rehearsal: Rehearsal, network: nn.Module, optimizer: str, *, copies: int) -> Need:
    """`copies` is the number of other copies of all weights that a checkpoint holds. The checkpoint itself is one
    more of all that, and of what the optimizer remembers of weights that are learnt."""
    sizes = [(p.numel() * p.element_size(), p.requires_grad) for p in network.parameters()]
    weights = sum(size for size, _ in sizes)
    learnt = sum(size for size, is_learnt in sizes if is_learnt)
    remembered: float = plugins.constant("optimizer", optimizer, "REMEMBERS")
    state = learnt * remembered + weights * copies
    checkpoint = weights + state
    now = psutil.Process().memory_info().rss
    # Gradients are there beside the rows of a second part.
    held = now + learnt + state + checkpoint + rehearsal.fixed_bytes
    return Need(held=round(held), row=rehearsal.row_bytes)


def parts_that_fit(
    need: Need, rows: int, parts: int, limit_bytes: int, *, split: bool, ways: Sequence[str] = ()
) -> int:
    """In how many parts steps of so many rows are to be learnt from: `parts`, or, with `split`, as many as it takes.

    Raises Rejected, with what would fit, when that is too much; `ways` are further ones to need less.
    """
    together = -(-rows // parts)
    if need.of(together) <= limit_bytes:
        return parts
    most = need.most_rows(limit_bytes)
    enough = -(-rows // most) if most else None
    if split and enough:
        return enough
    here = (
        f"{together} rows at a time need about {_gib(need.of(together))}, and there are {_gib(limit_bytes)}"
    )
    if enough is None:
        what = f"even one row needs {_gib(need.of(1))}: a smaller network would do, or that much memory"
    else:
        what = f"`accumulate: {enough}` or `batch: {most * parts}` would fit"
    raise Rejected("; ".join([here, ", ".join([what, *ways])]), field="train.batch")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.3g} GiB"
