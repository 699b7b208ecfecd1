"""What a training starts from: a network of random weights or that of a base, the task it is fitted to, and whoever
teaches it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from modelhall import networks, tasks
from modelhall.core.errors import Rejected
from modelhall.core.kinds.choice import Choice
from modelhall.core.names import did_you_mean
from modelhall.core.orders import TrainOrder
from modelhall.core.program import Order, unpacked_model
from modelhall.core.shape import Shape
from modelhall.stages.train.distilling import Taught, check_fits


class Origins(NamedTuple):
    """Folders with what is started from, while they are there."""

    base: Path | None
    teacher: Path | None


@contextlib.contextmanager
def origins(order: Order, what: TrainOrder) -> Iterator[Origins]:
    """The base and the teacher that are ordered, unpacked."""
    with contextlib.ExitStack() as held:
        base = held.enter_context(unpacked_model(order, what.base)) if what.base else None
        teacher = held.enter_context(unpacked_model(order, what.teacher.model)) if what.teacher else None
        yield Origins(base, teacher)


def fit(what: TrainOrder, splits: Mapping[str, pl.DataFrame], found: Origins) -> tasks.Task:
    """The task, which reads as the base does; without one, as the teacher does."""
    positions = what.network.options.get("positions") if what.network else None
    return tasks.fit(what.task, splits, what.columns, length=positions, base=found.base or found.teacher)


def start(what: TrainOrder, shape: Shape, found: Origins) -> networks.Start:
    """The network, with an adapter if that is what is to learn."""
    if found.base is None:
        assert what.network is not None
        return networks.Start(networks.build(what.network, shape), what.network, frozenset())
    started = networks.start(found.base, what.network, shape)
    if what.train.adapter is not None:
        networks.adapt(started, what.train.adapter)
    return started


def taught(what: TrainOrder, task: tasks.Task, found: Origins) -> tasks.Task:
    """The task as it is learnt: with a teacher, if there is one. Raises Rejected for one that does not fit."""
    if what.teacher is None or found.teacher is None:
        return task
    if tasks.compares(task):
        raise Rejected(
            "what is preferred is learnt from the rows alone; leave `teacher` out", field="teacher"
        )
    if isinstance(task, tasks.Ranks):
        raise Rejected("vectors are learnt from the rows alone; leave `teacher` out", field="teacher")
    check_fits(found.teacher, found.base, task.shape)
    return Taught.of(task, networks.load(found.teacher), what.teacher)


def loss(what: TrainOrder, task: tasks.Task) -> Choice:
    """The loss that is asked for, or the task's own. Raises Rejected for one that these rows are not learnt by."""
    known = tasks.losses_for(what.task, task)
    asked = what.train.loss or Choice(name=known[0])
    if asked.name not in known:
        raise Rejected(
            f"{asked.name} does not learn from rows of {', '.join(task.columns)}; {did_you_mean(asked.name, known)}",
            field="train.loss",
        )
    if tasks.compares(task) and what.base is None:
        raise Rejected(
            f"{asked.name} holds a model against the one it starts from, so it needs a `base`", field="base"
        )
    return asked
