"""Packing: whether a task and a network can learn from texts that stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from modelhall.core.errors import Rejected
from modelhall.tasks import Examples, Packs, Task, _packing, outputs_of

_FIELD = "train.packing"
_CLOSE = 1e-3


def documents(task: Task, name: str, split: str, frame: pl.DataFrame) -> Examples:
    """The rows to learn from. Raises Rejected for a task that reads a row as one text."""
    if not isinstance(task, Packs):
        raise Rejected(
            f"{name} has nothing that could stand side by side; leave `packing` out: batches already hold rows of "
            "like length",
            field=_FIELD,
        )
    return task.documents(split, frame)


def check(task: Task, network: nn.Module, examples: Examples, family: str) -> None:
    """Have the network tell of a few texts, side by side and each by itself. Raises Rejected when that is not the
    same: it would learn from one text what belongs to another."""
    assert isinstance(task, Packs)
    assert examples.lengths is not None
    order = np.argsort(examples.lengths, kind="stable").tolist()
    rows = [order[-1], *order[:2]]
    try:
        far = _far(task, network, examples, rows)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise _refusal(family, f"it does not take what keeps them apart ({error})") from None
    if not far < _CLOSE:
        raise _refusal(family, f"what it tells of a text differs by {far:.2g} from what it tells of it alone")


def _far(task: Any, network: nn.Module, examples: Examples, rows: Sequence[int]) -> float:
    """The largest difference between both."""
    assert examples.lengths is not None
    lengths = [examples.lengths[row] for row in rows]
    beside = _packing.places(lengths)
    real = _packing.laid([[1] * length for length in lengths], beside, pad=0).bool()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network.eval()
        together = outputs_of(network, task.packed(examples, rows))[real]
        alone = [outputs_of(network, task.batch(examples, [rows[text]]))[0] for row in beside for text in row]
        network.train()
    return float((together - torch.cat(alone)).abs().max())


def _refusal(family: str, why: str) -> Rejected:
    return Rejected(f"{family} cannot learn from packed texts: {why}; leave `packing` out", field=_FIELD)
