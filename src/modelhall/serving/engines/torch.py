"""The network as it was trained, by torch itself: every task, every family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.orders import GRAPH_FILE
from modelhall.serving.engines._embedding import vectors_of
from modelhall.serving.engines._scoring import scores_of
from modelhall.serving.engines._torch_generator import TorchGenerator, memory_of
from modelhall.tasks import Examples, Predictions, Task, predict


def load(folder: Path, task: Task, *, threads: int) -> TorchEngine:
    """The network in `folder` on `threads` threads. Raises Rejected for a version that was compressed."""
    if (folder / GRAPH_FILE).exists():
        raise Rejected(
            "this version was compressed, and torch has no weights to load; leave `engine` out",
            field="engine",
        )
    torch.set_num_threads(threads)
    return TorchEngine(task, networks.load(folder))


def generator(folder: Path, task: Task, *, threads: int, slots: int) -> TorchGenerator:
    """The same, telling texts."""
    torch.set_num_threads(threads)
    network = networks.load(folder)
    return TorchGenerator(memory_of(network, task.shape), vectors_of(network), scores_of(network))


class TorchEngine:
    def __init__(self, task: Task, network: nn.Module) -> None:
        self._task = task
        self._network = network

    def predict(
        self, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
    ) -> Predictions:
        return predict(self._task, self._network, examples, batch=batch, each=each)
