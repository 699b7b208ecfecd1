"""Rows that change a little each time they are learnt from, by the steps of the data set that say how.

What a row becomes is a function of the seeds, the epoch and the row, and so is what it is mixed with: nothing of it
need be stored for training to go on to the same bits. Columns are changed as they lie in the data, so that any task
reads them as it reads all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.nn import functional

from modelhall.core import plugins
from modelhall.core.errors import Rejected
from modelhall.tasks import Batch, Task

_OF_BATCH = 1
"""Behind the numbers that a random source of a row is made of, it makes one of a batch."""


class Variation:
    """Batches of the training split, varied."""

    def __init__(
        self, task: Task, rows: pl.DataFrame, steps: Sequence[Mapping[str, Any]], *, seed: int
    ) -> None:
        """`steps` are those that vary; `seed` is the training's."""
        self._task = task
        self._rows = rows
        self._steps = [(step, plugins.load("step", step["name"])) for step in steps]
        self._seed = seed

    def batch(self, rows: Sequence[int], epoch: int) -> Batch:
        """Some of the rows as they are in this epoch."""
        picked = self._rows[list(rows)]
        for number, (step, module) in enumerate(self._steps):
            randoms = [np.random.default_rng([self._seed, number, epoch, row]) for row in rows]
            picked = module.vary(picked, randoms, **_options(step, "vary"))
        batch = self._task.batch(self._task.examples("train", picked), range(len(rows)))
        for number, (step, module) in enumerate(self._steps):
            batch = self._mixed(batch, step, module, [self._seed, number, epoch, rows[0], _OF_BATCH])
        return batch

    def _mixed(self, batch: Batch, step: Mapping[str, Any], module: ModuleType, seeds: list[int]) -> Batch:
        """Each row with a share of another one; truth is mixed like what it is the truth of."""
        if not hasattr(module, "mix"):
            return batch
        random = np.random.default_rng(seeds)
        mixed = module.mix(random, len(next(iter(batch.values()))), **_options(step, "mix"))
        if mixed is None:
            return batch
        share, places = mixed
        inputs = [part for name, part in batch.items() if name != "labels"]
        if not self._task.shape.labels or not any(part.is_floating_point() for part in inputs):
            raise Rejected(
                f"{step['name']} mixes rows and their labels, and what this task reads has no labels or no numbers "
                "that could be mixed: leave `mixup` out",
                field="data",
            )
        truth = batch["labels"]
        if not truth.is_floating_point():
            truth = functional.one_hot(truth, len(self._task.shape.labels)).float()
        others = torch.from_numpy(places)
        return {
            name: share * part + (1 - share) * part[others] if part.is_floating_point() else part
            for name, part in (batch | {"labels": truth}).items()
        }


def varying(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of the steps of a data set that are done to rows while they are learnt from."""
    return [step for step in steps if hasattr(plugins.load("step", step["name"]), "vary")]


def _options(step: Mapping[str, Any], function: str) -> dict[str, Any]:
    return plugins.options_for("step", step["name"], function, step["options"])
