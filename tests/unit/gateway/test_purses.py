"""What gateways have in hand of limits and budgets, however many callers come at once and whatever dies."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from modelhall.adapters.treasury.memory import MemoryTreasury
from modelhall.core.errors import NotNow
from modelhall.core.ports.treasury import Portion, Pot
from modelhall.gateway.purses import Purses, Short, Taken, Want
from modelhall.gateway.recovery import settle_former
from modelhall.policy.pots import Limit
from modelhall.policy.purse import IDLE_S

pytestmark = pytest.mark.anyio

COST = 7
BUDGET = Limit(
    "money", Pot(name="budget/research/2026-11", amount=100 * COST), "project 'research'", "1/month"
)
RATE = Limit("requests", Pot(name="rate", amount=60, period_s=60.0), "service 'bard'", "60/minute")


class VirtualClock:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    monotonic = now


class Waiting(MemoryTreasury):
    """One that takes its time, so that those who come at once do meet."""

    async def draw(self, holder: str, pot: Pot, want: int, now: float) -> Portion:
        await asyncio.sleep(0)
        portion = await super().draw(holder, pot, want, now)
        await asyncio.sleep(0)
        return portion


class Gone(MemoryTreasury):
    async def draw(self, holder: str, pot: Pot, want: int, now: float) -> Portion:
        raise NotNow("gone", delay_s=1.0)


async def take(purses: Purses, limit: Limit = BUDGET, amount: int = COST) -> list[Taken] | None:
    try:
        return await purses.take([Want(limit, amount)])
    except Short:
        return None


@pytest.mark.parametrize("gateways", [1, 2, 3])
async def test_200_at_once_against_a_budget_for_100_spend_it_and_not_a_cent_more(gateways: int) -> None:
    treasury, clock = Waiting(), VirtualClock()
    all_purses = [Purses(treasury, f"g{i}", clock) for i in range(gateways)]
    found = await asyncio.gather(*(take(all_purses[i % gateways]) for i in range(200)))
    let_in = sum(taken is not None for taken in found)
    # What one gateway has in hand is no other's until it is given back: less than a request's worth each.
    assert 100 - gateways < let_in <= 100
    for taken in filter(None, found):
        taken[0].purse.settle(COST, COST)
    spent = let_in * COST
    assert spent <= BUDGET.pot.amount
    for purses in all_purses:
        await purses.tidy(clock.at + IDLE_S)
    assert await treasury.taken([BUDGET.pot], clock.at) == {BUDGET.pot.name: spent}


async def test_what_requests_did_not_take_lets_others_in() -> None:
    treasury, clock, rng = Waiting(), VirtualClock(), random.Random(3)
    purses = Purses(treasury, "g", clock)
    spent = refused = 0
    while not refused:
        came = await asyncio.gather(*(take(purses) for _ in range(20)))
        refused += sum(taken is None for taken in came)
        for taken in filter(None, came):
            used = rng.randrange(COST + 1)
            taken[0].purse.settle(COST, used)
            spent += used
    assert BUDGET.pot.amount - 20 * COST < spent <= BUDGET.pot.amount


async def test_all_is_reserved_or_nothing() -> None:
    clock = VirtualClock()
    purses = Purses(MemoryTreasury(), "g", clock)
    huge = Limit("tokens", Pot(name="tokens", amount=10, period_s=60.0), "service 'bard'", "10/minute")
    with pytest.raises(Short) as short:
        await purses.take([Want(RATE, 1), Want(huge, 11)])
    assert short.value.purse.limit == huge
    assert [await take(purses, RATE, 1) is not None for _ in range(61)] == [True] * 60 + [False]


async def test_what_a_gateway_leaves_unused_another_one_gets() -> None:
    treasury, clock = MemoryTreasury(), VirtualClock()
    here, there = Purses(treasury, "here", clock), Purses(treasury, "there", clock)
    assert await take(here, BUDGET, 1)
    clock.at += IDLE_S
    await here.tidy(clock.at)
    assert await take(there, BUDGET, BUDGET.pot.amount - 1)
    assert await take(here, BUDGET, 1) is None


async def test_a_rate_lets_in_as_much_over_two_gateways_as_over_one() -> None:
    treasury, clock = MemoryTreasury(), VirtualClock()
    both = [Purses(treasury, name, clock) for name in ("here", "there")]
    let_in = 0
    for tick in range(600):  # ten minutes, ten times as many as may
        clock.at += 1
        for i in range(10):
            taken = await take(both[(tick + i) % 2], RATE, 1)
            if taken:
                let_in += 1
                taken[0].purse.settle(1, 1)
    assert 600 <= let_in <= 600 + 60


async def test_a_treasury_that_is_gone_stops_spending_and_no_limit() -> None:
    purses = Purses(Gone(), "g", VirtualClock())
    assert await purses.take([Want(RATE, 1)]) == []
    assert purses.unchecked == 1
    with pytest.raises(NotNow):
        await purses.take([Want(BUDGET, 1)])


@pytest.mark.parametrize("turns", range(1, 9))
async def test_who_goes_away_while_he_waits_takes_nothing(turns: int) -> None:
    treasury, clock = Waiting(), VirtualClock()
    purses = Purses(treasury, "g", clock)
    waiting = asyncio.ensure_future(purses.take([Want(RATE, 1), Want(BUDGET, COST)]))
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for _ in range(9):
        await asyncio.sleep(0)
    await purses.tidy(clock.at + IDLE_S)
    assert await treasury.taken([RATE.pot, BUDGET.pot], clock.at) == {RATE.pot.name: 0, BUDGET.pot.name: 0}


async def test_of_a_gateway_that_was_killed_what_its_journal_tells_stays_spent(tmp_path: Path) -> None:
    treasury = MemoryTreasury()
    await treasury.draw("usage-00000000000000002", BUDGET.pot, 500, 0.0)
    await treasury.draw("usage-00000000000000009", BUDGET.pot, 50, 0.0)
    line = '{"project": "research", "at": 1795000000, "charge_nano": %d}\n'
    (tmp_path / "usage-00000000000000001.jsonl").write_text(line % 1000)  # of one before
    (tmp_path / "usage-00000000000000002.jsonl").write_text(line % 20 + line % 3)
    (tmp_path / "usage-00000000000000003.jsonl").write_text(line % 4 + (line % 100)[:-10])
    await settle_former(treasury, tmp_path)
    # Of the other one no file is left, so all that it drew stays drawn.
    assert await treasury.taken([BUDGET.pot], 0.0) == {BUDGET.pot.name: 27 + 50}
