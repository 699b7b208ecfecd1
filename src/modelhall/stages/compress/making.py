"""Ways made: the methods of each, one after the other, and the folder that is served."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from modelhall.core import digest, files, plugins
from modelhall.core.kinds.choice import Choice
from modelhall.core.orders import GRAPH_FILE
from modelhall.stages.compress.draft import Draft
from modelhall.stages.compress.graph import graph_of
from modelhall.stages.compress.tuning import Tuning
from modelhall.stages.compress.weights import in_int8, stored_in
from modelhall.stages.train import requests

Methods = tuple[Choice, ...]


class Made(NamedTuple):
    """One way, ready to be measured."""

    name: str
    folder: Path
    parameters: int


class Maker:
    """Makes ways of one trained model; those that begin alike share what costs training."""

    def __init__(self, trained: Draft, artifact: Path, tuning: Tuning, place: Path) -> None:
        """`artifact` is the folder of the trained model, and below `place` each way gets one."""
        self._trained = trained
        self._artifact = artifact
        self._tuning = tuning
        self._place = place
        self._drafts: dict[str, Draft] = {}

    def make(self, methods: Methods) -> Made:
        """Raises Rejected for a method that the network or the task has no use for."""
        draft = self._trained
        for many in range(1, len(methods) + 1):
            draft = self._after(draft, methods[:many])
        folder = self._place / digest.of_json([method.model_dump() for method in methods])[:16]
        self._write(draft, folder)
        parameters = sum(parameter.numel() for parameter in draft.network.parameters())
        return Made(name_of(methods), folder, parameters)

    def _after(self, before: Draft, methods: Methods) -> Draft:
        """The draft after the last of `methods`, which `before` is yet without."""
        key = digest.of_json([method.model_dump() for method in methods])
        if key not in self._drafts:
            last = methods[-1]
            method = plugins.load("compression", last.name, field="compress")
            self._drafts[key] = method.apply(before, self._tuning.of(key), **last.options)
        return self._drafts[key]

    def _write(self, draft: Draft, folder: Path) -> None:
        """The task, what is done to requests, and the graph."""
        graph = graph_of(draft.network, self._tuning.batch)
        if draft.bits < 32:
            graph = stored_in(graph, bits=draft.bits) if draft.weights_only else in_int8(graph)
        folder.mkdir()
        self._tuning.task.save(folder)
        if (self._artifact / requests.FILE).exists():
            shutil.copy(self._artifact / requests.FILE, folder)
        files.write_bytes(folder / GRAPH_FILE, graph.SerializeToString(deterministic=True))


def name_of(methods: Methods) -> str:
    """`prune 0.3, quantize 8`."""
    words = [[method.name, *_words(method)] for method in methods]
    return ", ".join(" ".join(said) for said in words)


def _words(method: Choice) -> list[str]:
    """The options: figures by themselves, what is said with yes by its name."""
    return [
        name.replace("_", " ") if value is True else str(value)
        for name, value in method.options.items()
        if value is not False and not isinstance(value, dict)
    ]
