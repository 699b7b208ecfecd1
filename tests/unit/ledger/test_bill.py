"""Bills and receipts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from ledger_facts import METER, PRICES, reading, replica, request

from modelhall.adapters.book.memory import MemoryBook
from modelhall.core.errors import NotFound
from modelhall.core.kinds import Key
from modelhall.ledger.bill import bill, cost_of, request_receipt, run_receipt, service_receipt
from modelhall.ledger.settle import Settled, settle

START = Settled(0.0, 100.0)
TRAIN, REPLICA = "run/default/train", "run/default/digits-0"


@pytest.fixture
def book() -> MemoryBook:
    """Five seconds of training, two of serving, one of them a request's, and one of another project's training."""
    book = MemoryBook()
    asked = request("a", weight=1.0)
    other = replace(reading(cpu_s=1.0), key=Key("run", "research", "train"), uid="u3")
    made = [
        settle(read, START, usage, close=True, meter=METER, prices=PRICES)
        for read, usage in [(reading(cpu_s=5.0), []), (replica(cpu_s=2.0), [asked]), (other, [])]
    ]
    entries = [entry for one in made for entry in one.entries]
    asyncio.run(book.append(usage=[asked], entries=entries))
    return book


def test_a_bill_shows_the_dearest_first(book: MemoryBook) -> None:
    totals = asyncio.run(bill(book, "run"))
    assert [(total.name, total.cpu_s) for total in totals] == [
        (TRAIN, 5.0),
        (REPLICA, 2.0),
        ("run/research/train", 1.0),
    ]


def test_a_projects_bill_shows_nothing_of_another(book: MemoryBook) -> None:
    totals = asyncio.run(bill(book, "run", project="research"))
    assert [total.name for total in totals] == ["run/research/train"]


def test_a_replicas_receipt_parts_requests_and_standby_and_sums_to_its_use(book: MemoryBook) -> None:
    receipt = asyncio.run(run_receipt(book, REPLICA))
    assert {part.name: part.cpu_s for part in receipt.parts} == {"request": 1.0, "standby": 1.0}
    assert receipt.total.cpu_s == 2.0
    assert receipt.total.energy_j == 20.0
    assert receipt.total.cost_nano == sum(part.cost_nano for part in receipt.parts)
    assert receipt.total.requests == 1
    assert not receipt.total.measured
    of_service = asyncio.run(service_receipt(book, "service/default/digits"))
    assert of_service.parts == receipt.parts


def test_a_run_without_entries_has_cost_nothing_yet(book: MemoryBook) -> None:
    receipt = asyncio.run(run_receipt(book, "run/default/none"))
    assert (receipt.total.cost_nano, receipt.parts) == (0, ())


def test_a_requests_receipt_says_what_it_cost_and_what_the_gateway_saw(book: MemoryBook) -> None:
    receipt = asyncio.run(request_receipt(book, "a"))
    assert receipt.usage == request("a", weight=1.0)
    assert receipt.total.cost_nano == 100_000 + 10 * 125


def test_a_request_the_book_does_not_know_is_not_found(book: MemoryBook) -> None:
    with pytest.raises(NotFound, match="none"):
        asyncio.run(request_receipt(book, "none"))


def test_what_a_model_cost_is_the_sum_over_its_runs(book: MemoryBook) -> None:
    total = asyncio.run(cost_of(book, "model/default/digits", [TRAIN, REPLICA, "run/default/none"]))
    assert (total.name, total.cpu_s, total.requests) == ("model/default/digits", 7.0, 1)
    assert len(total.energy_sources) == 1
