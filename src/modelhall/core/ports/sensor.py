"""What a machine tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure as it was read."""

    name: str
    """One of `core.measures`."""
    value: float
    part: str = ""
    """Which of several, such as a GPU or what power is drawn by; empty for the whole."""
    measured: bool = True
    """False when a model was used instead of a sensor."""
    source: str
    """The sensor, or the model with its constants, in words."""


class Sensor(Protocol):
    """One source of figures about the machine this runs on. A sensor may be read from another thread than it was
    opened in, but is read by one at a time."""

    def read(self) -> Sequence[Figure]:
        """What it says now. Counters go on from what they were, as long as the sensor is the same object.

        Raises OSError when it cannot be read.
        """
        ...


class OpenSensor(Protocol):
    """What each file of `adapters/sensor` has as `open_sensor`."""

    def __call__(self, home: Path) -> Sensor | None:
        """The sensor, or None where this machine has no such thing, or it may not be read. `home` is the folder
        of the hall."""
        ...
