"""What every sensor promises. Every adapter found is tested, on this machine if it has what the sensor reads."""

from __future__ import annotations

import shutil
from math import isfinite
from pathlib import Path

import psutil
import pytest

from modelhall.adapters.sensor.rapl import open_below
from modelhall.core import plugins
from modelhall.core.measures import measure
from modelhall.core.ports.sensor import Figure, Sensor

NAMES = plugins.names("sensor")


@pytest.fixture(params=NAMES)
def sensor(request: pytest.FixtureRequest, tmp_path: Path) -> Sensor:
    opened = plugins.load("sensor", request.param).open_sensor(tmp_path)
    if opened is None:
        pytest.skip(f"this machine has nothing that {request.param} could read")
    return opened


def test_every_figure_is_a_known_one_and_says_where_it_comes_from(sensor: Sensor) -> None:
    figures = sensor.read()
    assert figures
    for figure in figures:
        assert measure("node", figure.name) is not None, figure.name
        assert isfinite(figure.value)
        assert figure.source
    assert len({(figure.name, figure.part) for figure in figures}) == len(figures)


def test_counters_never_go_back(sensor: Sensor) -> None:
    before, after = (counters(sensor.read()) for _ in range(2))
    assert before.keys() == after.keys()
    assert all(after[key] >= before[key] for key in before)


def counters(figures: list[Figure]) -> dict[tuple[str, str], float]:
    return {
        (figure.name, figure.part): figure.value
        for figure in figures
        if (known := measure("node", figure.name)) is not None and known.is_counter
    }


def test_the_machine_is_told_as_it_is(tmp_path: Path) -> None:
    told = {
        figure.name: figure.value for figure in plugins.load("sensor", "machine").open_sensor(tmp_path).read()
    }
    assert told["memory_bytes"] == psutil.virtual_memory().total
    assert 0 < told["memory_used_bytes"] < told["memory_bytes"]
    disk = shutil.disk_usage(tmp_path)
    assert told["disk_used_bytes"] == pytest.approx(disk.used, rel=0.05)
    assert told["disk_bytes"] == pytest.approx(disk.used + disk.free, rel=0.05)
    assert told["cpus"] == len(psutil.Process().cpu_affinity())


class Zones:
    """A tree as powercap shows it, since few machines that run tests have one that may be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "intel-rapl").mkdir(parents=True)
        for zone, name in {
            "intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram",
            "intel-rapl:1": "package-1", "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
        }.items():  # fmt: skip
            (folder / zone).mkdir()
            (folder / zone / "name").write_text(f"{name}\n")
            (folder / zone / "max_energy_range_uj").write_text("1000000000\n")
            self.say(zone, 0)

    def say(self, zone: str, energy_uj: object) -> None:
        (self.folder / zone / "energy_uj").write_text(f"{energy_uj}\n")


@pytest.fixture
def zones(tmp_path: Path) -> Zones:
    return Zones(tmp_path / "powercap")


def test_rapl_counts_packages_and_memory_and_nothing_twice(zones: Zones) -> None:
    sensor = open_below(zones.folder)
    assert sensor is not None
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:2"):
        zones.say(zone, 5_000_000)
    told = {figure.part: figure.value for figure in sensor.read()}
    assert told == {"package-0": 5.0, "package-0 dram": 5.0, "package-1": 0.0}


def test_rapl_goes_on_where_its_counter_begins_anew(zones: Zones) -> None:
    zones.say("intel-rapl:0", 900_000_000)
    sensor = open_below(zones.folder)
    assert sensor is not None
    told = []
    for energy_uj in (950_000_000, 20_000_000, 30_000_000):
        zones.say("intel-rapl:0", energy_uj)
        told.append(sensor.read()[0].value)
    assert told == [50.0, 120.0, 130.0]


def test_rapl_that_says_no_number_or_vanishes_is_an_error_of_reading(zones: Zones) -> None:
    sensor = open_below(zones.folder)
    assert sensor is not None
    zones.say("intel-rapl:0", "nan")
    with pytest.raises(OSError, match="no number"):
        sensor.read()
    shutil.rmtree(zones.folder)
    with pytest.raises(OSError, match="intel-rapl"):
        sensor.read()


def test_a_machine_without_rapl_has_no_such_sensor(tmp_path: Path) -> None:
    assert open_below(tmp_path / "none") is None
