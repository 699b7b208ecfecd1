"""lend: workers for a training that is led on another node (`gang.lender`). It has no result, and ends when it is
ended.

    python -m modelhall.stages.train.lend order.json
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from modelhall.core import program
from modelhall.core.errors import Broken, NotNow
from modelhall.core.gang_key import GANG_KEY, key_of_gang
from modelhall.core.orders import LendOrder, key_of
from modelhall.core.program import Order, Reporter
from modelhall.core.secrets import read_secrets
from modelhall.stages.train.gang.dialling import dial
from modelhall.stages.train.gang.lender import Lender
from modelhall.stages.train.gang.member import Member
from modelhall.stages.train.gang.post import Post
from modelhall.stages.train.gang.signs import Waiting
from modelhall.stages.train.trainee import Trainee, get_ready

DIALS_FOR_S = 30.0
AGAIN_S = 0.5


def carry_out(order: Order, reporter: Reporter) -> Mapping[str, Any]:
    """Lend as many workers as are ordered, for ever. Raises NotNow when whoever leads them is not to be reached."""
    what = LendOrder.model_validate(order.what)
    get_ready(what.train)
    key = read_secrets().get(GANG_KEY)
    if key is None:
        raise Broken(f"run {order.run!r} was handed no key of gangs; start it by the hall")
    gang = key_of_gang(key, run=what.training, attempt=what.attempt, order=key_of("train", what.train))

    def live(post: Post, waits: Waiting) -> None:
        Member(Trainee(order, what.train), post, address=order.address, waits=waits).live()

    Lender(live, order.workers, lambda: reach(what, gang)).lend()


def reach(
    what: LendOrder,
    gang: bytes,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Connection:
    """A connection to the leader, tried for a while. Raises NotNow."""
    until = monotonic() + DIALS_FOR_S
    while True:
        try:
            return dial(what.leader, gang)
        except OSError as error:
            if monotonic() >= until:
                raise NotNow(
                    f"run {what.training} is not reached at {what.leader}: {error}; where nodes are different "
                    "machines, `hall node agent --address` names one that the others reach",
                    delay_s=AGAIN_S,
                ) from None
        pause(AGAIN_S)


if __name__ == "__main__":
    program.main(carry_out)
