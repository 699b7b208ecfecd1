"""The keeper: readings and journals in, a book that sums up out, killed at any moment or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from math import fsum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_facts import METER, PRICES, reading, replica, request

from modelhall.adapters.book.memory import MemoryBook
from modelhall.core.ports.book import Usage
from modelhall.ledger import keeper as keeping
from modelhall.ledger.keeper import CLOSE_EVERY_S, LATE_S, WRITE_OFF_AFTER_S, Keeper, Kept
from modelhall.ledger.reading import Reading


@dataclass
class Hall:
    """A book, its keeper, and a gateway's journal."""

    book: MemoryBook
    folder: Path
    keeper: Keeper

    def restart(self) -> None:
        self.keeper = Keeper(book=self.book, journals=self.folder, meter=METER, prices=PRICES)

    def serve(self, *usage: Usage) -> None:
        with (self.folder / "usage-1.jsonl").open("a") as journal:
            journal.writelines(json.dumps(asdict(seen)) + "\n" for seen in usage)

    def settle(self, *readings: Reading, now: float = 110.0, fully: bool = False) -> Kept:
        return asyncio.run(self.keeper.settle(readings, now, fully=fully))

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds in the book, by run, standby and request."""
        return {total.name: total.cpu_s for total in asyncio.run(self.book.totals("use"))}

    def requests(self) -> int:
        return sum(total.requests for total in asyncio.run(self.book.totals("project")))


def hall_in(folder: Path, book: MemoryBook | None = None) -> Hall:
    book = book or MemoryBook()
    return Hall(book, folder, Keeper(book=book, journals=folder, meter=METER, prices=PRICES))


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    return hall_in(tmp_path)


def test_a_run_that_is_over_is_paid_for_at_once_and_once(hall: Hall) -> None:
    over = reading(cpu_s=5.0, ended=True)
    assert hall.settle(over).entries == 1
    assert hall.settle(over).entries == 0
    hall.restart()
    assert hall.settle(over).entries == 0
    assert hall.cpu_s() == {"run": 5.0}


def test_a_run_at_work_is_entered_once_a_minute(hall: Hall) -> None:
    assert hall.settle(reading(cpu_s=5.0)).entries == 0
    later = 100.0 + CLOSE_EVERY_S
    assert hall.settle(reading(cpu_s=30.0, at=later), now=later).entries == 1
    assert hall.settle(reading(cpu_s=31.0, at=later + 1), now=later + 1).entries == 0
    assert hall.cpu_s() == {"run": 30.0}


def test_a_bill_asked_for_now_has_all_that_was_used_until_now(hall: Hall) -> None:
    hall.serve(request("a", weight=1.0))
    hall.settle(reading(cpu_s=5.0), replica(cpu_s=3.0), fully=True)
    assert hall.cpu_s() == {"run": 5.0, "request": 1.0, "standby": 2.0}


def test_requests_are_paid_for_as_soon_as_they_are_heard_of(hall: Hall) -> None:
    hall.serve(request("a", weight=1.0))
    assert hall.settle(replica(cpu_s=3.0)) == Kept(requests=1, damaged=0, entries=1)
    assert hall.cpu_s() == {"request": 1.0}


def test_a_request_that_ended_after_the_reading_waits_for_the_next(hall: Hall) -> None:
    hall.serve(request("a", at=115.0, weight=1.0))
    hall.settle(replica(cpu_s=3.0))
    assert hall.requests() == 0
    hall.settle(replica(cpu_s=4.0, at=120.0), now=120.0)
    assert hall.cpu_s() == {"request": 1.0}


def test_a_killed_replicas_last_requests_are_paid_from_its_last_seconds(hall: Hall) -> None:
    killed = replica(cpu_s=3.0, ended=True)
    hall.settle(killed, now=110.1)
    hall.serve(request("late", at=109.0, weight=1.0))
    hall.settle(killed, now=110.0 + LATE_S)
    assert hall.cpu_s() == {"request": 1.0, "standby": 2.0}


def test_requests_are_paid_from_the_attempt_that_answered_them(hall: Hall) -> None:
    first = replica(cpu_s=1.0, ended=True)
    second = replica(attempt=2, started_at=112.0, at=120.0, cpu_s=8.0)
    hall.serve(request("a", at=105.0, weight=4.0), request("b", at=115.0, weight=4.0))
    hall.settle(first, second, now=120.0, fully=True)
    paid = {id: asyncio.run(hall.book.entries(f"request/{id}"))[0].cpu_s for id in "ab"}
    assert paid == {"a": 1.0, "b": 4.0}


def test_a_run_that_vanished_is_paid_for_as_it_was_last_seen(hall: Hall) -> None:
    hall.settle(reading(cpu_s=5.0))
    hall.settle(now=111.0)
    assert hall.cpu_s() == {"run": 5.0}


def test_a_run_that_comes_back_goes_on_where_it_was(hall: Hall) -> None:
    hall.settle(reading(cpu_s=5.0))
    hall.settle(now=111.0)
    hall.settle(reading(cpu_s=7.0, at=120.0, ended=True), now=121.0)
    assert hall.cpu_s() == {"run": 7.0}


@pytest.mark.parametrize("lie", [float("nan"), float("inf"), -1.0, 1e30])
def test_a_reading_that_cannot_be_true_charges_nothing(hall: Hall, lie: float) -> None:
    hall.settle(reading(cpu_s=lie), fully=True)
    assert hall.cpu_s() == {}
    hall.settle(reading(cpu_s=5.0), fully=True)
    assert hall.cpu_s() == {"run": 5.0}


def test_requests_nobody_can_be_found_for_are_given_up_in_the_end_but_not_at_a_start(hall: Hall) -> None:
    hall.serve(request("a", replica=""), request("b"))
    hall.settle(now=104.0 + 2 * WRITE_OFF_AFTER_S)
    assert hall.requests() == 0
    hall.settle(now=104.0 + 3 * WRITE_OFF_AFTER_S)
    assert hall.requests() == 2
    assert sum(hall.cpu_s().values()) == 0


def test_more_requests_than_fit_one_transaction_are_all_settled(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAGE", 10)
    hall.serve(*(request(f"r{number}", weight=0.125) for number in range(30)))
    hall.settle(replica(cpu_s=5.0), fully=True)
    assert hall.requests() == 30
    assert hall.cpu_s() == pytest.approx({"request": 3.75, "standby": 1.25})


def test_two_that_settle_at_the_same_time_enter_everything_once(hall: Hall) -> None:
    async def both() -> None:
        one = hall.keeper.settle([reading(cpu_s=5.0)], 110.0, fully=True)
        two = hall.keeper.settle([reading(cpu_s=6.0)], 110.0, fully=True)
        await asyncio.gather(one, two)

    asyncio.run(both())
    assert hall.cpu_s() == {"run": 6.0}


class DyingBook(MemoryBook):
    """A book whose process dies at the given transactions, after (True) or before (False) they are durable."""

    def __init__(self, dies_at: dict[int, bool]) -> None:
        super().__init__()
        self.count = 0
        self.dies_at = dies_at

    async def append(self, **what: object) -> None:  # type: ignore[override]
        self.count += 1
        after_commit = self.dies_at.get(self.count)
        if after_commit is False:
            raise KeyboardInterrupt
        await super().append(**what)  # type: ignore[arg-type]
        if after_commit is True:
            raise KeyboardInterrupt


STEPS = st.lists(
    st.tuples(
        st.floats(0, 40, allow_subnormal=False),
        st.floats(0.5, 90),
        st.lists(st.floats(0, 5), max_size=4),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(steps=STEPS, dies_at=st.dictionaries(st.integers(1, 20), st.booleans(), max_size=4))
def test_all_that_was_used_is_in_the_book_once_wherever_the_keeper_was_killed(
    steps: list[tuple[float, float, list[float], bool]], dies_at: dict[int, bool]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        hall = hall_in(Path(place), DyingBook(dies_at))
        train, serving, sent = reading(), replica(cpus=1.0), 0
        for cpu_s, span_s, weights, fully in steps:
            now = train.at + span_s
            train = replace(train, cpu_s=train.cpu_s + cpu_s, at=now)
            serving = replace(serving, cpu_s=serving.cpu_s + cpu_s, at=now)
            for weight in weights:
                hall.serve(request(f"r{sent}", at=now - 0.5, weight=weight))
                sent += 1
            with contextlib.suppress(KeyboardInterrupt):
                hall.settle(train, serving, now=now, fully=fully)
            if hall.book.count in dies_at:  # type: ignore[attr-defined]
                hall.restart()
        hall.book.dies_at = {}  # type: ignore[attr-defined]
        hall.settle(train, serving, now=train.at, fully=True)

        used = hall.cpu_s()
        assert used.get("run", 0) == pytest.approx(train.cpu_s, rel=1e-9)
        assert used.get("request", 0) + used.get("standby", 0) == pytest.approx(serving.cpu_s, rel=1e-9)
        assert hall.requests() == sent
        joules = fsum(total.energy_j for total in asyncio.run(hall.book.totals("run")))
        held_j = 4.0 * (serving.at - serving.started_at)
        assert joules == pytest.approx(10.0 * train.cpu_s + 6.0 * serving.cpu_s + held_j, rel=1e-9)
