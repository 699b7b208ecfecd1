"""One training, from its data to its artifact: what each of its workers is made of, however many there are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch

from modelhall import networks, tasks
from modelhall.core import base_models, files, plugins
from modelhall.core.orders import TrainOrder, TrainOutput, key_of
from modelhall.core.program import Order, open_blobs, private_folder, unpacked
from modelhall.stages import _data
from modelhall.stages.train import packing, record, requests, starting
from modelhall.stages.train.checkpoint import Checkpoints
from modelhall.stages.train.loop import Training
from modelhall.stages.train.machine import allocation
from modelhall.stages.train.machine.peak import peak_gflops
from modelhall.stages.train.machine.precision import choose
from modelhall.stages.train.variation import Variation, varying


def get_ready(what: TrainOrder) -> None:
    """Have all imported that a training needs, for those that are forked from here. No data is read, since libraries
    that have begun to do so do not survive a fork."""
    plugins.load("task", what.task, field="task")
    if what.network is not None:
        networks.get_ready(what.network)


class Trainee:
    """One training, from its data to its artifact."""

    def __init__(self, order: Order, what: TrainOrder) -> None:
        self._order = order
        self._what = what
        torch.set_num_threads(order.threads)
        allocation.keep_what_is_freed()
        # Warned and not enforced: a few networks have no other way. (`use_deterministic_algorithms` does the same
        # and first imports the compiler, which takes seconds.)
        torch.set_deterministic_debug_mode("warn")
        self._prepared = _prepare(order, what)
        self.training = self._prepared.training
        _rehearse(self.training, order, what)
        self.checkpoints = Checkpoints(order.state, key_of("train", what), kept=what.train.keep_checkpoints)
        self.checkpoint_s = what.train.checkpoint_s
        self._began = time.monotonic()

    def go_on(self) -> None:
        """Be where the newest checkpoint is, if there is any."""
        if found := self.checkpoints.newest():
            self.training.go_on_from(found)

    def save(self) -> Mapping[str, Any]:
        """Leave the weights that are to be kept as an artifact; a TrainOutput."""
        self.training.finish()
        blobs = open_blobs(self._order)
        with private_folder(self._order) as folder:
            self._write(folder)
            artifact = blobs.put_folder(folder)
        return TrainOutput(
            artifact=artifact,
            size_bytes=blobs.size_bytes(artifact),
            parameters=sum(parameter.numel() for parameter in self._prepared.started.module.parameters()),
            steps=self.training.steps,
            validated=self.training.validated,
            pruned=self.training.pruned,
            record=self._put_record(),
            precision=self.training.precision,
        ).model_dump(mode="json")

    def _write(self, folder: Path) -> None:
        task, started, steps, _ = self._prepared
        base, adapter = self._what.base, self._what.train.adapter
        networks.save(started.module, started.network, task.shape, folder, adapter)
        task.save(folder)
        if base is not None and (adapter is not None or tasks.compares(task)):
            base_models.name(folder, base)
        _save_preparation(folder, task, steps)

    def _put_record(self) -> str:
        """The artifact that tells how it was trained."""
        with private_folder(self._order) as folder:
            record.write(
                folder,
                order=self._what,
                curves=self.training.curves,
                attempt=self._order.attempt,
                begun=self.training.begun,
                seconds=time.monotonic() - self._began,
            )
            return open_blobs(self._order).put_folder(folder)


class _Prepared(NamedTuple):
    """All that a training is made of."""

    task: tasks.Task
    started: networks.Start
    steps: Sequence[Mapping[str, Any]]
    """Of the data set."""
    training: Training


def _prepare(order: Order, what: TrainOrder) -> _Prepared:
    with unpacked(order, what.data) as data:
        splits = {name: _data.read(data, name) for name in _data.splits(data)}
        steps = _data.steps(data)
    with starting.origins(order, what) as origins:
        task = starting.fit(what, splits, origins)
        torch.manual_seed(what.train.seed)
        started = starting.start(what, task.shape, origins)
        learning = starting.taught(what, task, origins)
    varied = varying(steps)
    training = Training(
        task=learning,
        network=started.module,
        train=what.train,
        loss=starting.loss(what, task),
        precision=choose(what.train.precision, order.cache, order.threads),
        bars=what.bars,
        variation=Variation(task, splits["train"], varied, seed=what.train.seed) if varied else None,
        examples=_examples(what, task, started, splits),
        shards=what.shards,
    )
    return _Prepared(task, started, steps, training)


def _examples(
    what: TrainOrder, task: tasks.Task, started: networks.Start, splits: Mapping[str, pl.DataFrame]
) -> dict[str, tasks.Examples]:
    """What is learnt from and validated on."""
    examples = {name: task.examples(name, splits[name]) for name in ("train", "validation") if name in splits}
    if what.train.packing:
        examples["train"] = packing.documents(task, what.task, "train", splits["train"])
        packing.check(task, started.module, examples["train"], started.network.family)
    return {name: tasks.referred(task, rows, started.module) for name, rows in examples.items()}


def _rehearse(training: Training, order: Order, what: TrainOrder) -> None:
    """See whether a training fits into what one worker may hold."""
    limit_bytes = allocation.limit(order.memory_bytes and order.memory_bytes // order.workers)
    peak = peak_gflops(order.cache, order.threads)
    training.rehearse(limit_bytes=limit_bytes, peak_gflops=peak)
    if what.train.on_oom == "split" and order.memory_bytes is not None:
        allocation.refuse_beyond(limit_bytes)


def _save_preparation(folder: Path, task: tasks.Task, steps: Sequence[Mapping[str, Any]]) -> None:
    """Leave beside the model what is to be done to requests, if anything is."""
    columns = {part.name: task.columns[part.name] for part in task.inputs if part.name in task.columns}
    told = requests.preparation(steps, columns)
    if told is not None:
        files.write_json(folder / requests.FILE, told)
