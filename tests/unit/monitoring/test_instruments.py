"""Sensors that lie, hang or vanish."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from modelhall.app.monitoring.instruments import Instruments
from modelhall.core.ports.sensor import Figure


class Said:
    """A sensor that says what a function says."""

    def __init__(self, say: Callable[[], Sequence[Figure]]) -> None:
        self.read = say


def cpus(value: float = 2.0) -> list[Figure]:
    return [Figure(name="cpus", value=value, source="test")]


def told(figures: list[Figure]) -> dict[tuple[str, str], float]:
    return {(figure.name, figure.part): figure.value for figure in figures}


def fails() -> list[Figure]:
    raise OSError("the device is gone")


def breaks() -> list[Figure]:
    raise ZeroDivisionError


@pytest.mark.parametrize("bad", [fails, breaks, lambda: cpus(float("nan")), lambda: cpus(-1)])
def test_a_sensor_that_lies_or_fails_is_counted_and_takes_no_other_along(
    bad: Callable[[], Sequence[Figure]],
) -> None:
    good = Said(lambda: [Figure(name="memory_bytes", value=5.0, source="test")])
    instruments = Instruments({"bad": Said(bad), "good": good})
    for times in (1, 2):
        assert told(asyncio.run(instruments.read())) == {
            ("sensor_failures", "bad"): times, ("memory_bytes", ""): 5.0, ("sensor_failures", "good"): 0,
        }  # fmt: skip


def test_a_sensor_that_hangs_is_not_waited_for_and_not_asked_again_until_it_answers() -> None:
    asked, free = [], threading.Event()

    def slow() -> list[Figure]:
        asked.append(1)
        free.wait()
        return cpus()

    async def story() -> None:
        instruments = Instruments({"slow": Said(slow)}, limit_s=0.01)
        for _ in range(3):
            await instruments.read()
        assert len(asked) == 1
        free.set()
        found = {}
        while ("cpus", "") not in found:
            found = told(await instruments.read())
        assert found["sensor_failures", "slow"] >= 3

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_sensor_that_comes_back_is_read_again() -> None:
    answers = iter([cpus(), None, cpus(3)])

    def sometimes() -> list[Figure]:
        return next(answers) or fails()

    async def story() -> None:
        instruments = Instruments({"one": Said(sometimes)})
        values = [told(await instruments.read()).get(("cpus", "")) for _ in range(3)]
        assert values == [2, None, 3]

    asyncio.run(story())
