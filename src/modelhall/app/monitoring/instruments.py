"""The sensors of this machine, read side by side; one that hangs, lies or vanishes takes none of the others along."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelhall.core import plugins
from modelhall.core.ports.sensor import Figure, Sensor
from modelhall.monitoring.sifting import credible

LIMIT_S = 2.0
"""No sensor is waited for longer."""

log = logging.getLogger(__name__)


def sensors_of_this_machine(home: Path) -> dict[str, Sensor]:
    """All sensors that this machine has, by the names of their files."""
    opened = {name: plugins.load("sensor", name).open_sensor(home) for name in plugins.names("sensor")}
    return {name: sensor for name, sensor in opened.items() if sensor is not None}


class Instruments:
    """Reads sensors, as long as this process lives."""

    def __init__(self, sensors: Mapping[str, Sensor], *, limit_s: float = LIMIT_S) -> None:
        self._gauges = {name: _Gauge(name, sensor) for name, sensor in sensors.items()}
        self._limit_s = limit_s

    async def read(self) -> list[Figure]:
        """All that can be true of what the sensors say now, and of each how often it failed so far."""
        waiting = {name: gauge.begin() for name, gauge in self._gauges.items()}
        if waiting:
            await asyncio.wait(waiting.values(), timeout=self._limit_s)
        figures: list[Figure] = []
        for name, gauge in self._gauges.items():
            figures += gauge.take(waiting[name])
            figures.append(
                Figure(
                    name="sensor_failures", value=float(gauge.failures), part=name, source=f"sensor {name}"
                )
            )
        return figures


class _Gauge:
    """One sensor, and the thread that reads it."""

    def __init__(self, name: str, sensor: Sensor) -> None:
        self.failures = 0
        self._name = name
        self._sensor = sensor
        self._reading: asyncio.Future[Sequence[Figure]] | None = None
        self._last_words = ""

    def begin(self) -> asyncio.Future[Sequence[Figure]]:
        """Have the sensor be read, unless it has not come back from the last time."""
        if self._reading is None or self._reading.done():
            loop = asyncio.get_running_loop()
            self._reading = loop.create_future()
            # A thread of its own that nobody waits for at the end: a sensor may hang for ever.
            threading.Thread(target=self._read, args=(loop, self._reading), daemon=True).start()
        return self._reading

    def take(self, reading: asyncio.Future[Sequence[Figure]]) -> list[Figure]:
        """What can be true of what was read; nothing if it is still being read."""
        if not reading.done():
            return self._failed("it does not answer")
        error = reading.exception()
        if error is not None:
            return self._failed(str(error) or type(error).__name__)
        found, refused = credible("node", reading.result())
        if refused:
            self._failed(f"{refused} of its figures cannot be true")
        else:
            self._last_words = ""
        return found

    def _failed(self, reason: str) -> list[Figure]:
        self.failures += 1
        if reason != self._last_words:
            log.warning("sensor.failed sensor=%s reason=%s", self._name, reason)
        self._last_words = reason
        return []

    def _read(self, loop: asyncio.AbstractEventLoop, reading: asyncio.Future[Sequence[Figure]]) -> None:
        outcome: Sequence[Figure] | Exception
        try:
            outcome = self._sensor.read()
        except Exception as error:  # noqa: BLE001 - whatever a driver throws is the sensor's failure, not the hall's
            outcome = error
        # The loop may have closed while a slow sensor was being read.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, reading, outcome)


def _settle(reading: asyncio.Future[Sequence[Figure]], outcome: Sequence[Figure] | Exception) -> None:
    if isinstance(outcome, Exception):
        reading.set_exception(outcome)
    else:
        reading.set_result(outcome)
