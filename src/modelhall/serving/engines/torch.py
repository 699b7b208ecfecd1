"""The network as it was trained, by torch itself: every task, every family."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from modelhall import networks
from modelhall.core.errors import Rejected
from modelhall.core.orders import GRAPH_FILE
from modelhall.serving.engines._embedding import vectors_of
from modelhall.serving.engines._scoring import scores_of
from modelhall.serving.engines._torch_generator import By, TorchGenerator, memory_of
from modelhall.tasks import Examples, Predictions, Task, predict

log = logging.getLogger(__name__)


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
    return _telling(networks.load(folder), task)


def adapted_generator(
    folder: Path, adapters: Mapping[str, Path], task: Task, *, threads: int, slots: int
) -> TorchGenerator:
    """The same, each text by the adapter that is asked for. Raises Rejected for one that is none of this network."""
    torch.set_num_threads(threads)
    adapted = networks.load_adapted(folder, adapters)
    base_bytes = sum(parameter.nbytes for parameter in adapted.module.parameters())
    log.info("adapters.loaded count=%d bytes=%d base_bytes=%d", len(adapters), adapted.size_bytes, base_bytes)
    return _telling(adapted.module, task, adapted.by)


def _telling(network: nn.Module, task: Task, by: By | None = None) -> TorchGenerator:
    return TorchGenerator(memory_of(network, task.shape), vectors_of(network), scores_of(network), by)


class TorchEngine:
    def __init__(self, task: Task, network: nn.Module) -> None:
        self._task = task
        self._network = network

    def predict(
        self, examples: Examples, *, batch: int, each: Callable[[int], None] | None = None
    ) -> Predictions:
        return predict(self._task, self._network, examples, batch=batch, each=each)
