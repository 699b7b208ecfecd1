"""What a node draws, and who pays for it."""

from __future__ import annotations

import asyncio
from math import fsum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_facts import METER, PRICES, reading, replica, request

from modelhall.adapters.book.memory import MemoryBook
from modelhall.core.ports.book import NOBODY, Total
from modelhall.core.ports.meter import Use
from modelhall.ledger.keeper import Keeper
from modelhall.ledger.node import NodeReading, SharedOut
from modelhall.ledger.reading import Reading

NODE = "node/default/n1"
MODEL_J = 4.0 * 4
"""What four idle processors draw in a second by the model of `ledger_facts`."""


def drawn(
    at: float, energy_j: float, *, cpu_s: float = 0.0, measured: bool = True, **more: Any
) -> NodeReading:
    facts = {"node": "n1", "since": 100.0, "cpus": 4.0, "source": "RAPL package-0", **more}
    return NodeReading(at=at, energy_j=energy_j, cpu_s=cpu_s, measured=measured, **facts)


def test_work_is_charged_its_part_of_what_was_measured() -> None:
    meter = SharedOut(METER)
    meter.see(drawn(100, 0))
    meter.see(drawn(130, 3 * 30 * MODEL_J))
    energy = meter.energy(Use(node="n1", cpu_s=1.0))
    assert energy.measured
    assert energy.energy_j == pytest.approx(3 * METER.busy_w)
    assert energy.source.startswith("RAPL package-0, shared out by cpu-time model")


def test_all_work_and_all_that_was_idle_come_to_what_was_measured() -> None:
    meter = SharedOut(METER)
    meter.see(drawn(100, 0))
    meter.see(drawn(200, 5000, cpu_s=150))
    whole = meter.energy(Use(node="n1", cpu_s=150, span_s=100, cpus=4))
    assert whole.energy_j == pytest.approx(5000)
    parts = [Use(node="n1", cpu_s=100, span_s=100, cpus=1), Use(node="n1", cpu_s=50, span_s=100, cpus=3)]
    assert fsum(meter.energy(part).energy_j for part in parts) == pytest.approx(5000)


@pytest.mark.parametrize("later", [drawn(130, 0, since=120), drawn(130, 50, measured=False), drawn(130, -1)])
def test_the_model_stands_in_where_nothing_was_measured(later: NodeReading) -> None:
    meter = SharedOut(METER)
    for seen in (drawn(100, 10), later):
        meter.see(seen)
    assert meter.energy(Use(node="n1", cpu_s=1.0)) == METER.energy(Use(node="n1", cpu_s=1.0))


class Day:
    """A keeper over an empty book."""

    def __init__(self, folder: Path) -> None:
        self.book = MemoryBook()
        self.folder = folder
        self.keeper = self.again()

    def again(self) -> Keeper:
        return Keeper(book=self.book, journals=self.folder, meter=METER, prices=PRICES)

    def settle(self, node: NodeReading, readings: list[Reading] | None = None, *, fully: bool = True) -> None:
        asyncio.run(self.keeper.settle(readings or [], node.at, nodes=[node], fully=fully))

    def totals(self, by: Any) -> dict[str, Total]:
        return {total.name: total for total in asyncio.run(self.book.totals(by))}


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


def test_what_nobody_used_is_nobodys_and_says_so(day: Day) -> None:
    day.settle(drawn(100, 0))
    day.settle(drawn(160, 60 * MODEL_J), [reading(cpu_s=5.0, at=160.0)])
    by_use = day.totals("use")
    assert by_use["run"].energy_j == pytest.approx(50)
    assert by_use["idle"].energy_j == pytest.approx(910)
    assert by_use["idle"].cost_nano == (910 * 125)
    assert by_use["idle"].measured
    assert day.totals("project")[NOBODY].energy_j == pytest.approx(910)
    assert day.totals("node")[NODE].energy_j == pytest.approx(960, rel=1e-12)


def test_what_nobody_used_waits_until_all_others_are_charged(day: Day) -> None:
    day.settle(drawn(100, 0))
    day.settle(drawn(120, 500), [reading(cpu_s=5.0, at=120.0)], fully=False)
    assert day.totals("use") == {}
    day.settle(drawn(161, 1000), [reading(cpu_s=5.0, at=161.0)], fully=False)
    assert day.totals("node")[NODE].energy_j == pytest.approx(1000)


def test_work_that_is_charged_before_it_is_seen_to_be_drawn_is_made_up_for_later(day: Day) -> None:
    day.settle(drawn(100, 0))
    day.settle(drawn(110, 30), [reading(cpu_s=5.0, at=112.0)])
    assert day.totals("use").keys() == {"run"}
    day.settle(drawn(120, 90), [reading(cpu_s=5.0, at=120.0)])
    assert day.totals("node")[NODE].energy_j == pytest.approx(90)


def test_while_nobody_watched_a_node_drew_what_work_was_charged_for(day: Day) -> None:
    day.settle(drawn(100, 0))
    day.settle(drawn(160, 1000))
    day.keeper = day.again()
    day.settle(drawn(900, 10, since=890.0), [reading(cpu_s=50.0, at=900.0)])
    day.settle(drawn(910, 30, since=890.0), [reading(cpu_s=50.0, at=910.0)])
    assert day.totals("node")[NODE].energy_j == pytest.approx(1000 + 500 + 20)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_reading_that_cannot_be_is_passed_over(day: Day, value: float) -> None:
    day.settle(drawn(100, 0))
    day.settle(drawn(160, value))
    assert day.totals("node") == {}
    day.settle(drawn(170, 70))
    assert day.totals("node")[NODE].energy_j == 70


@pytest.mark.parametrize("at", [50.0, 100.0])
def test_a_clock_that_stands_or_goes_back_charges_nothing_twice(day: Day, at: float) -> None:
    for energy_j in (0.0, 10.0, 10.0, 5.0, 20.0):
        day.settle(drawn(at, energy_j))
    assert day.totals("node")[NODE].energy_j == 20


LOOKS = st.lists(
    st.tuples(st.floats(0.1, 500), st.floats(0, 5000), st.floats(0, 50), st.floats(0, 50), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(looks=LOOKS, weights=st.lists(st.floats(0, 5), max_size=6))
def test_sums_agree_from_requests_to_service_to_node_to_hall(
    tmp_path_factory: pytest.TempPathFactory, looks: list[Any], weights: list[float]
) -> None:
    """Within 1e-9, and however often somebody looked, whatever was drawn and worked in between."""
    day = Day(tmp_path_factory.mktemp("day"))
    asked = [request(f"r{number}", weight=weight) for number, weight in enumerate(weights)]
    asyncio.run(day.book.append(usage=asked))
    at, energy_j, run_s, replica_s = 100.0, 0.0, 0.0, 0.0
    day.settle(drawn(at, 0))
    for span_s, joules, of_run, of_replica, fully in looks:
        at, energy_j, run_s, replica_s = (
            at + span_s,
            energy_j + joules,
            run_s + of_run,
            replica_s + of_replica,
        )
        now = drawn(at, energy_j, cpu_s=run_s + replica_s)
        day.settle(
            now,
            [reading(cpu_s=run_s, at=at, cpus=1.0), replica(cpu_s=replica_s, at=at, gpus=1.0)],
            fully=fully,
        )
    # In the end the node has drawn enough for all that was charged on credit.
    day.settle(
        drawn(at, energy_j + 1e7),
        [reading(cpu_s=run_s, at=at, cpus=1.0), replica(cpu_s=replica_s, at=at, gpus=1.0)],
    )
    use, by_service = day.totals("use"), day.totals("service")
    of_service = [use[word].energy_j for word in ("request", "standby") if word in use]
    if of_service:
        assert by_service["service/default/digits"].energy_j == pytest.approx(fsum(of_service), rel=1e-9)
    of_node = day.totals("node")[NODE].energy_j
    assert of_node == pytest.approx(energy_j + 1e7, rel=1e-9)
    assert fsum(total.energy_j for total in use.values()) == pytest.approx(of_node, rel=1e-9)
    assert fsum(total.energy_j for total in day.totals("project").values()) == pytest.approx(
        of_node, rel=1e-9
    )
    by_project = day.totals("project").values()
    assert fsum(t.gpu_s for t in use.values()) == pytest.approx(at - 100.0, rel=1e-9)
    assert fsum(t.gpu_s for t in by_project) == pytest.approx(at - 100.0, rel=1e-9)
    assert sum(t.cost_nano for t in use.values()) == sum(t.cost_nano for t in day.totals("node").values())
