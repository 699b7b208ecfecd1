"""train: one data version, one task, one network → an artifact that can be served.

The same order gives the same weights, also when it is killed on the way and started again: it goes on from the
last checkpoint, to the same bits. With a validation split the best epoch is kept, else the last one. Whether
the result is good enough is decided by evaluate and the requirement.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modelhall import networks, tasks
from modelhall.core import files
from modelhall.core.kinds.choice import Choice
from modelhall.core.kinds.model import Train
from modelhall.core.orders import TrainOrder, TrainOutput, key_of
from modelhall.core.program import Order, Reporter, open_blobs, private_folder, unpacked
from modelhall.stages import _data
from modelhall.stages.train import allocation, machine, packing, requests
from modelhall.stages.train.checkpoint import Checkpoints
from modelhall.stages.train.loop import Training
from modelhall.stages.train.recomputing import recomputing
from modelhall.stages.train.variation import Variation, varying


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Train one network; the result is a TrainOutput. Raises Rejected for data, task or network that do not fit,
    Failed when the loss stops being a number."""
    what = TrainOrder.model_validate(order.what)
    torch.set_num_threads(order.threads)
    allocation.keep_what_is_freed()
    # Warned and not enforced: a few networks have no other way. (`use_deterministic_algorithms` does the same and
    # first imports the compiler, which takes seconds.)
    torch.set_deterministic_debug_mode("warn")
    with unpacked(order, what.data) as data:
        splits = {name: _data.read(data, name) for name in _data.splits(data)}
        steps = _data.steps(data)
    task = tasks.fit(what.task, splits, what.columns, length=what.network.options.get("positions"))
    torch.manual_seed(what.train.seed)
    network = networks.build(what.network, task.shape)
    varied = varying(steps)
    examples: dict[str, tasks.Examples] = {
        name: task.examples(name, splits[name]) for name in ("train", "validation") if name in splits
    }
    if what.train.packing:
        examples["train"] = packing.documents(task, what.task, "train", splits["train"])
        packing.check(task, network, examples["train"], what.network.family)
    training = Training(
        task=task,
        network=network,
        train=what.train,
        loss=what.train.loss or Choice(name=tasks.losses_of(what.task)[0]),
        variation=Variation(task, splits["train"], varied, seed=what.train.seed) if varied else None,
        examples=examples,
    )
    with _way_to_learn(network, what.train):
        limit_bytes = allocation.limit(order.memory_bytes)
        training.rehearse(limit_bytes=limit_bytes, peak_gflops=machine.peak(order.cache, order.threads))
        if what.train.on_oom == "split" and order.memory_bytes is not None:
            allocation.refuse_beyond(limit_bytes)
        training.run(Checkpoints(order.state, key_of("train", what)), reporter)
    blobs = open_blobs(order)
    with private_folder(order) as folder:
        networks.save(network, what.network, task.shape, folder)
        task.save(folder)
        _save_preparation(folder, task, steps)
        artifact = blobs.put_folder(folder)
    return TrainOutput(
        artifact=artifact,
        size_bytes=blobs.size_bytes(artifact),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        steps=training.steps,
        precision=training.precision,
    ).model_dump(mode="json")


@contextlib.contextmanager
def _way_to_learn(network: nn.Module, train: Train) -> Iterator[None]:
    """A while in which a network learns as it is asked to."""
    with (
        networks.learning(network),
        recomputing(network) if train.checkpointing else contextlib.nullcontext(),
    ):
        yield


def _save_preparation(folder: Path, task: tasks.Task, steps: Sequence[Mapping[str, Any]]) -> None:
    """Leave beside the model what is to be done to requests, if anything is."""
    columns = {part.name: task.columns[part.name] for part in task.inputs if part.name in task.columns}
    told = requests.preparation(steps, columns)
    if told is not None:
        files.write_json(folder / requests.FILE, told)
