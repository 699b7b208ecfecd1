"""What every treasury promises, and what a durable one promises on top. Every adapter found is tested."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import pkgutil
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhall.adapters import treasury as treasuries
from modelhall.adapters.treasury.sqlite import SqliteTreasury
from modelhall.core.errors import NotNow, Rejected
from modelhall.core.ports.treasury import Pot, Treasury

pytestmark = pytest.mark.anyio

ADAPTERS = [name for _, name, _ in pkgutil.iter_modules(treasuries.__path__) if not name.startswith("_")]
BUDGET = Pot(name="budget/research/2026-11", amount=1000)
A_MINUTE = Pot(name="service/default/bard requests 60/minute", amount=60, period_s=60.0)
NOW = 1_800_000_000.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=ADAPTERS)
def treasury(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Treasury]:
    opened = importlib.import_module(f"{treasuries.__name__}.{request.param}").open_treasury(tmp_path)
    yield opened
    asyncio.run(opened.close())


@pytest.mark.parametrize("pot", [BUDGET, A_MINUTE], ids=["budget", "rate"])
async def test_no_more_is_handed_out_than_there_is(treasury: Treasury, pot: Pot) -> None:
    portions = [await treasury.draw(f"gateway-{i % 3}", pot, pot.amount // 7, NOW) for i in range(9)]
    assert sum(portion.granted for portion in portions) == pot.amount
    assert portions[-1] == (0, 0)
    assert await treasury.taken([pot], NOW) == {pot.name: pot.amount}


async def test_whatever_is_drawn_and_given_back_the_sums_agree(treasury: Treasury) -> None:
    rng, held = random.Random(7), {"a": 0, "b": 0, "c": 0}
    for _ in range(60):
        holder = rng.choice("abc")
        if rng.random() < 0.6:
            portion = await treasury.draw(holder, BUDGET, rng.randrange(300), NOW)
            held[holder] += portion.granted
            assert portion.left == BUDGET.amount - sum(held.values())
        else:
            back = rng.randrange(held[holder] + 1)
            held[holder] -= back
            await treasury.give_back(holder, BUDGET, back, NOW)
    assert await treasury.taken([BUDGET], NOW) == {BUDGET.name: sum(held.values())}


async def test_a_rate_comes_back_little_by_little_and_a_budget_does_not(treasury: Treasury) -> None:
    for pot in (BUDGET, A_MINUTE):
        await treasury.draw("a", pot, pot.amount, NOW)
    assert await treasury.draw("a", A_MINUTE, 60, NOW + 10) == (10, 0)
    assert await treasury.draw("a", A_MINUTE, 60, NOW + 10_000) == (60, 0)
    assert await treasury.draw("a", BUDGET, 1, NOW + 10_000) == (0, 0)


async def test_an_unused_portion_never_makes_more_than_a_full_pot(treasury: Treasury) -> None:
    await treasury.draw("a", A_MINUTE, 20, NOW)
    await treasury.give_back("a", A_MINUTE, 20, NOW + 60)
    assert await treasury.draw("b", A_MINUTE, 1000, NOW + 60) == (60, 0)


async def test_a_clock_that_is_set_back_shuts_nobody_out_for_longer_than_a_period(treasury: Treasury) -> None:
    await treasury.draw("a", A_MINUTE, 60, NOW + 86_400)
    assert (await treasury.draw("a", A_MINUTE, 60, NOW)).granted == 0
    assert (await treasury.draw("a", A_MINUTE, 60, NOW + 60)).granted == 60


async def test_of_one_who_is_no_more_stays_out_what_he_used(treasury: Treasury) -> None:
    other = Pot(name="budget/other/2026-11", amount=50)
    await treasury.draw("dead", BUDGET, 400, NOW)
    await treasury.draw("dead", other, 50, NOW)
    await treasury.draw("alive", BUDGET, 100, NOW)
    assert await treasury.holders() == ["alive", "dead"]
    await treasury.settle("dead", {BUDGET.name: 30, other.name: 10**9})
    assert await treasury.taken([BUDGET, other], NOW) == {BUDGET.name: 130, other.name: 50}
    await treasury.settle("dead", {BUDGET.name: 400})
    assert await treasury.taken([BUDGET], NOW) == {BUDGET.name: 130}
    assert await treasury.holders() == ["alive"]


async def test_a_budget_that_was_lowered_hands_out_no_more(treasury: Treasury) -> None:
    await treasury.draw("a", BUDGET, 600, NOW)
    assert await treasury.draw("a", Pot(name=BUDGET.name, amount=500), 1, NOW) == (0, 0)
    assert await treasury.draw("a", Pot(name=BUDGET.name, amount=700), 500, NOW) == (100, 0)


# What is durable.

DRAWING = """
import asyncio, sys
from pathlib import Path
from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.core.ports.treasury import Pot

async def draw():
    treasury = open_treasury(Path(sys.argv[1]))
    while True:
        portion = await treasury.draw(sys.argv[2], Pot(name="budget/research/2026-11", amount=1000), 20, 0.0)
        print(portion.granted, flush=True)
        if not portion.granted:
            return

asyncio.run(draw())
"""


@pytest.mark.e2e
async def test_processes_that_draw_at_once_and_are_killed_never_get_more_than_there_is(
    tmp_path: Path,
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DRAWING, tmp_path, f"g{i}"], stdout=subprocess.PIPE, text=True
        )
        for i in range(3)
    ]
    assert processes[0].stdout is not None
    # It may begin when the others have drawn nearly all.
    told = [int(line) for line in itertools.islice(processes[0].stdout, 5)]
    processes[0].send_signal(signal.SIGKILL)
    for process in processes:
        told += [int(word) for word in process.communicate(timeout=60)[0].split()]
    treasury = SqliteTreasury(tmp_path / "treasury.db")
    taken = (await treasury.taken([BUDGET], NOW))[BUDGET.name]
    # The one that was killed may have drawn what it could not tell of any more.
    assert taken == BUDGET.amount
    assert sum(told) in (BUDGET.amount, BUDGET.amount - 20)
    await treasury.close()


async def test_a_locked_file_is_waited_for_and_then_told_of(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("modelhall.adapters.treasury.sqlite.BUSY_S", 0.05)
    treasury = SqliteTreasury(tmp_path / "treasury.db")
    with sqlite3.connect(tmp_path / "treasury.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotNow):
            await treasury.draw("a", BUDGET, 1, NOW)
        other.execute("ROLLBACK")
    other.close()
    assert (await treasury.draw("a", BUDGET, 1, NOW)).granted == 1
    await treasury.close()


def test_a_file_of_a_newer_hall_and_one_that_is_none_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    (tmp_path / "none.db").write_bytes(b"something else" * 1000)
    for name in ("newer.db", "none.db"):
        with pytest.raises(Rejected, match=name):
            SqliteTreasury(tmp_path / name)
