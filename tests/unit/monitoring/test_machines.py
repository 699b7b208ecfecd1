"""Other machines are watched by what their agents tell of them, at the times that these say."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from modelhall.adapters.meter.cpu_time import model_of
from modelhall.app.monitoring.instruments import Instruments
from modelhall.app.monitoring.machines import MOST_FIGURES, STALE_S, Machines
from modelhall.app.power import PowerModels
from modelhall.core.ports.launcher import NodeReport
from modelhall.core.ports.sensor import Figure
from modelhall.ledger.node import NodeReading
from modelhall.twin.clock import VirtualClock

FAR = "node/default/far"


def figure(name: str, value: float, part: str = "") -> Figure:
    return Figure(name=name, value=value, part=part, source="test")


def report(read_at: float, *figures: Figure, processor: str = "one") -> NodeReport:
    return NodeReport(
        name="far", cpus=2.0, memory_bytes=2**33, processor=processor, figures=figures, read_at=read_at
    )


def busy(read_at: float, cpu_s: float, **how: str) -> NodeReport:
    return report(read_at, figure("cpus", 2.0), figure("cpu_s", cpu_s), **how)


class Hall:
    """One whose own machine has no sensors."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        models = PowerModels(model_of, "one")
        self.machines = Machines("local", Instruments({}), models, self.clock)

    def look(self, *reports: NodeReport) -> dict[str, float]:
        """What is told of the other machine."""
        self.clock.advance(10)
        told = asyncio.run(self.machines.look(reports)).get(FAR, [])
        return {one.name: one.value for one in told}

    def readings(self) -> Sequence[NodeReading]:
        return asyncio.run(self.machines.readings())[1:]


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_what_counters_of_another_machine_grow_by_is_by_its_own_clock(hall: Hall) -> None:
    assert "cpus_used" not in hall.look(busy(5000.0, 100.0))
    assert hall.look(busy(5004.0, 106.0))["cpus_used"] == 1.5


def test_what_is_told_is_told_again_until_there_is_more_or_it_is_too_old(hall: Hall) -> None:
    hall.look(busy(0.0, 0.0))
    told = hall.look(busy(10.0, 5.0))
    assert hall.look(busy(10.0, 5.0)) == told
    hall.clock.advance(STALE_S)
    assert hall.look(busy(10.0, 5.0)) == {}
    assert hall.readings() == []


def test_a_machine_that_is_gone_or_started_again_is_watched_anew(hall: Hall) -> None:
    for read_at in (1000.0, 1010.0):
        hall.look(busy(read_at, read_at))
    assert hall.look() == {}
    hall.look(busy(20.0, 1.0))
    first = hall.readings()[0]
    hall.look(busy(30.0, 3.0))
    later = hall.readings()[0]
    assert (first.since, later.at - first.at, later.cpu_s) == (later.since, 10.0, 3.0)
    hall.look(busy(5.0, 0.5))
    assert hall.readings()[0].since > later.since


def test_an_agent_that_lies_is_believed_what_can_be_and_no_more_of_it_than_a_machine_tells(
    hall: Hall,
) -> None:
    lies = [figure("cpu_s", math.nan), figure("memory_bytes", -1), figure("temperature_c", 20, "x" * 1000)]
    many = [figure("temperature_c", 20, f"gpu{number}") for number in range(MOST_FIGURES + 100)]
    hall.look(report(1.0, figure("cpus", 2.0), *lies, *many))
    told = asyncio.run(hall.machines.look([report(1.0, figure("cpus", 2.0))]))[FAR]
    assert {one.name for one in told} == {"cpus", "temperature_c", "energy_j"}
    assert len(told) < MOST_FIGURES


@pytest.mark.parametrize(("processor", "watts"), [("AMD EPYC 7B12", 0.474), ("AMD EPYC 9554", 0.739)])
def test_a_machine_draws_what_its_own_processors_are_known_for(
    hall: Hall, processor: str, watts: float
) -> None:
    hall.look(busy(0.0, 0.0, processor=processor))
    hall.look(busy(10.0, 0.0, processor=processor))
    (reading,) = hall.readings()
    assert reading.energy_j == pytest.approx(0)
    hall.look(busy(20.0, 0.0, processor=processor))
    (reading,) = hall.readings()
    assert reading.energy_j == pytest.approx(2 * 10 * watts)
