"""Money that is spent through gateways that are killed at any instant."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest
from programs import Program, Start
from stand_ins import eventually, request

from modelhall.core.kinds.limits import NANO

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

CALLERS = 20


async def test_over_gateways_that_are_killed_the_budget_is_spent_to_the_cent_and_not_beyond(
    start: Start, tmp_path
):
    (tmp_path / "budget.json").write_text(json.dumps({"budget": "1/month", "price": {"request": 0.01}}))
    replica = start("replica_process.py")
    answered = 0
    for most in (15, 15, 15, 1000):
        gateway = start("gateway_process.py", tmp_path, 0, replica.address)
        answered += await spend(gateway, most)
    lines = [line for path in tmp_path.glob("usage-*.jsonl") for line in path.read_text().splitlines()]
    charged = [json.loads(line)["charge_nano"] for line in lines]
    assert sum(charged) == NANO
    # Whoever was answered has paid; some have paid whose answer was cut off on its way.
    assert 45 <= answered <= sum(charge > 0 for charge in charged) == 100


async def spend(gateway: Program, most: int) -> int:
    """Ask from many sides until so many were answered, or nobody is any more, and kill the gateway then and there;
    how many were answered."""
    answered = 0

    async def ask_on() -> None:
        nonlocal answered
        caller = await gateway.caller()
        while True:
            caller.send(request())
            if (await caller.answer()).status != 200:
                return
            answered += 1

    asking = asyncio.gather(*(ask_on() for _ in range(CALLERS)), return_exceptions=True)
    await eventually(lambda: answered >= most or asking.done())
    gateway.signal(signal.SIGKILL)
    gateway.process.wait()
    await asking
    return answered
