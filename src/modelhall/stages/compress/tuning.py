"""What methods have at hand: the task, its data, and a way to train a changed network on, which goes on from its
checkpoints when it was killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import polars as pl
import torch
from torch import nn

from modelhall import tasks
from modelhall.core.kinds.choice import Choice
from modelhall.core.orders import CompressOrder, key_of
from modelhall.core.program import Reporter
from modelhall.stages.train.checkpoint import Checkpoints
from modelhall.stages.train.loop import Training
from modelhall.stages.train.machine.precision import Precision
from modelhall.stages.train.writing import writing
from modelhall.tasks import Batch, Examples, Task

_MOST_HELD_OUT = 5000


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """For one method of one way."""

    what: CompressOrder
    task: Task
    splits: Mapping[str, pl.DataFrame]
    state: Path
    """Where checkpoints outlast an attempt."""
    reporter: Reporter
    precision: Precision
    key: str = ""
    """What tells its checkpoints from those of other methods, and of the same after others."""

    def of(self, key: str) -> Tuning:
        """The same for another method."""
        return replace(self, key=key)

    @property
    def seed(self) -> int:
        return self.what.train.seed

    @cached_property
    def held_out(self) -> Examples:
        """Rows to choose by: of the validation split, or where there is none of the training split. Never of the test
        split, which judges what was chosen."""
        split = "validation" if "validation" in self.splits else "train"
        return self.task.examples(split, self.splits[split].head(_MOST_HELD_OUT))

    @cached_property
    def batch(self) -> Batch:
        """Two rows, the shortest and the longest, so that there is padding where a task pads."""
        rows = self.held_out.lengths or [0] * len(self.held_out)
        order = sorted(range(len(rows)), key=lambda row: rows[row])
        return self.task.batch(self.held_out, [order[0], order[-1]])

    @property
    def inputs(self) -> Batch:
        """The same without the truth, as a network takes it."""
        return {name: part for name, part in self.batch.items() if name != "labels"}

    def train(self, network: nn.Module, *, epochs: int | None = None, task: Any = None) -> None:
        """Train as the model was, for `epochs` if said; `task` is another one over the same rows."""
        train = self.what.train
        if epochs is not None:
            train = train.model_copy(update={"epochs": epochs})
        # What was trained from the beginning in part is trained on as a whole, under names that may be others.
        train = train.model_copy(update={"freeze": ()})
        torch.manual_seed(train.seed)
        training = Training(
            task=cast(Task, task or self.task),
            network=network,
            train=train,
            loss=train.loss or Choice(name=tasks.losses_of(self.what.task)[0]),
            precision=self.precision,
            examples=self._examples,
        )
        place = self.state / self.key[:16]
        place.mkdir(exist_ok=True)
        key = key_of("compress", self.what, method=self.key)
        checkpoints = Checkpoints(place, key, kept=train.keep_checkpoints)
        if found := checkpoints.newest():
            training.go_on_from(found)
        with writing(checkpoints, every_s=train.checkpoint_s) as one:
            training.run(self.reporter, one)
        training.finish()

    @cached_property
    def _examples(self) -> dict[str, Examples]:
        return {
            name: self.task.examples(name, self.splits[name])
            for name in ("train", "validation")
            if name in self.splits
        }
