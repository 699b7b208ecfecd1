"""What stands in an attempt's folder, whoever reads it: how far it is, how it ended, what it said at its end.

Programs may write whatever they like there. What makes no sense counts as not there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, JsonValue
from pydantic_core import from_json

from modelhall.adapters.launcher import supervisor
from modelhall.adapters.launcher.supervision.claim import is_running
from modelhall.core.kinds.base import Frozen, Problem
from modelhall.core.kinds.run import Exit, Progress
from modelhall.core.ports.launcher import Observation

F = TypeVar("F", bound=Frozen)
REPORT = "report.json"


class Record:
    """The files of one attempt, the report read again only when it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._report: tuple[tuple[int, ...], _Report] = ((), _Report())

    def exit(self) -> Exit | None:
        return read(self._folder / supervisor.EXIT, Exit)

    def claim(self) -> Process | None:
        """Who has the attempt; None as long as nobody has, or when that cannot be read."""
        return read(self._folder / supervisor.CLAIM, Process)

    def at_work(self, cpu_s: float) -> Observation:
        """The attempt while it runs; `cpu_s` so far."""
        report = self._newest_report()
        return Observation(
            alive=True,
            cpu_s=cpu_s,
            progress=report.progress,
            metrics=report.metrics,
            address=report.address,
        )

    def over(self, exit: Exit) -> Observation:
        """The attempt once it has ended so."""
        told = read(self._folder / supervisor.RESULT, _Told)
        report = self._newest_report()
        return Observation(
            alive=False,
            exit=exit,
            cpu_s=exit.cpu_s,
            progress=report.progress,
            metrics=report.metrics,
            address=report.address,
            result=told.model_dump(exclude_none=True) if told else None,
        )

    def _newest_report(self) -> _Report:
        path = self._folder / REPORT
        try:
            found = os.stat(path)
        except OSError:
            return _Report()
        version = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._report[0] != version:
            self._report = version, read(path, _Report) or _Report()
        return self._report[1]


class Process(Frozen):
    """A process as the supervisor writes it down; `ticks` tell it from a later one of the same number."""

    pid: int | None
    ticks: str | None

    @property
    def is_running(self) -> bool:
        return self.pid is not None and is_running(self.pid, self.ticks)


class _Report(Frozen):
    """What a program says of itself while it runs."""

    progress: Progress | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    address: str | None = None


class _Told(Frozen):
    """What a program says at its end."""

    output: dict[str, JsonValue] | None = None
    problem: Problem | None = None


def read(path: Path, shape: type[F]) -> F | None:
    """What is in a file, if it makes sense."""
    try:
        return shape.model_validate(from_json(path.read_bytes(), allow_inf_nan=False))
    except (OSError, ValueError):
        return None
