"""train: one data version, one task, one network → an artifact that can be served.

The same order gives the same weights, also when it is killed on the way and started again: it goes on from the
last checkpoint, to the same bits. Several workers are led by `gang`. With a validation split the best epoch is kept,
else the last one. Whether the result is good enough is decided by evaluate and the requirement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelhall.core.gang_key import GANG_KEY, key_of_gang
from modelhall.core.orders import TrainOrder, key_of
from modelhall.core.program import Order, Reporter
from modelhall.core.secrets import read_secrets
from modelhall.stages.train.ending import AskedToEnd, Ending
from modelhall.stages.train.gang.dialling import Entrance
from modelhall.stages.train.gang.leader import Leader
from modelhall.stages.train.gang.member import Member
from modelhall.stages.train.gang.post import Post
from modelhall.stages.train.gang.signs import Waiting
from modelhall.stages.train.trainee import Trainee, get_ready
from modelhall.stages.train.writing import writing


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Train one network; the result is a TrainOutput. Raises Rejected for data, task or network that do not fit,
    Failed when the loss stops being a number, AskedToEnd when somebody has asked for the end: what was learnt until
    then is in a checkpoint."""
    what = TrainOrder.model_validate(order.what)
    if what.shards > 1:
        return _carry_out_together(order, what, reporter)
    trainee = Trainee(order, what)
    trainee.go_on()
    with Ending() as ending, writing(trainee.checkpoints, every_s=trainee.checkpoint_s) as one:
        try:
            trainee.training.run(reporter, one, heed=ending.heed)
        except AskedToEnd:
            one.keep(trainee.training.checkpoint)
            raise
    return trainee.save()


def _carry_out_together(order: Order, what: TrainOrder, reporter: Reporter) -> Mapping[str, Any]:
    """The same by several workers, which this process only leads."""
    get_ready(what)

    def live(post: Post, waits: Waiting) -> None:
        ending.leave_to_leader()
        Member(Trainee(order, what), post, address=order.address, waits=waits).live()

    with Ending() as ending:
        entrance = _entrance(order, what)
        if entrance is not None:
            reporter.ready(entrance.address)
        return Leader(live, order.workers, reporter, entrance=entrance, ending=ending).lead()


def _entrance(order: Order, what: TrainOrder) -> Entrance | None:
    """Where workers on other nodes dial in; whoever leads any is handed the key."""
    key = read_secrets().get(GANG_KEY)
    if key is None:
        return None
    gang = key_of_gang(key, run=order.run, attempt=order.attempt, order=key_of("train", what))
    return Entrance(order.address, gang)
