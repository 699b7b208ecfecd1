"""Trainings over several nodes: whoever has workers elsewhere has them lent by runs of its own.

The attempt of such a training is on its first node. For each other node there is a run that lends the workers there,
placed in the same commit, so that all are placed or none. It is like any run in what it holds, takes, logs and costs,
and is placed again by itself when its node is lost. Nobody has use for it once the attempt it lends to is over: the
next attempt has others. What workers say to each other is left to `stages/train/gang`.
"""

from __future__ import annotations

from collections.abc import Callable

from modelhall.core import digest
from modelhall.core.kinds import Key, Run
from modelhall.core.kinds.base import Workers
from modelhall.core.kinds.run import ACTIVE, RunResource, Stage
from modelhall.core.orders import LendOrder, TrainOrder

LONGEST_NAME = 44
"""As much of a training's name as the names of those who lend it workers have room for."""


def lender(training: RunResource, number: int, workers: int) -> Run:
    """The run that lends so many workers to the newest attempt of a training; `number` tells it from its others."""
    document = training.document
    assert document.stage is not None
    attempt = training.status.attempt
    order = LendOrder(
        training=document.name,
        uid=training.uid,
        attempt=attempt,
        owner=document.owner,
        train=TrainOrder.model_validate(document.stage.order),
    )
    # No other training, and no other attempt, may come to a name that is in use still.
    which = digest.of_json([training.uid, attempt, number])[:8]
    return Run(
        name=f"{document.name[:LONGEST_NAME].rstrip('-')}-lend-{which}",
        project=document.project,
        owner=training.key.path,
        stage=Stage(program="lend", order=order.model_dump(mode="json")),
        resources=document.resources.model_copy(update={"workers": Workers(min=1, max=workers)}),
        priority=document.priority,
    )


def is_lender(document: Run) -> bool:
    """Whether a run lends workers to a training."""
    return document.stage is not None and document.stage.program == "lend"


def said_of(document: Run, workers: int) -> str:
    """What a run that lends workers does, in words."""
    assert document.stage is not None
    what = "a worker" if workers == 1 else f"{workers} workers"
    return f"lends {what} to {document.stage.order['training']}"


def leader_of(run: RunResource, find: Callable[[Key], RunResource | None]) -> RunResource | None:
    """The training that a run lends workers to; None once that attempt of it is over."""
    stage, owner = run.document.stage, run.document.owner
    assert stage is not None
    assert owner is not None
    training = find(Key.parse(owner))
    if training is None or training.status.state not in ACTIVE:
        return None
    its = (training.uid, training.status.attempt)
    return training if its == (stage.order["uid"], stage.order["attempt"]) else None
