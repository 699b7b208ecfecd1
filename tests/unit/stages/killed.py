"""Trainings that are killed on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from modelhall.core.program import Reporter


class Killed(BaseException):
    """Ends a training between two steps, as a kill would."""


class AskedToEndAt(Reporter):
    """A reporter with whose report of `sample` samples this process is asked to end, as launchers ask."""

    def __init__(self, work: Path, sample: int) -> None:
        super().__init__(work)
        self._sample = sample

    def progress(self, done: float, *args: Any, **kwargs: Any) -> None:
        super().progress(done, *args, **kwargs)
        if done >= self._sample:
            os.kill(os.getpid(), signal.SIGTERM)


class KilledAt(Reporter):
    """A reporter with whose report of `sample` samples the attempt ends."""

    def __init__(self, work: Path, sample: int) -> None:
        super().__init__(work)
        self._sample = sample

    def progress(self, done: float, *args: Any, **kwargs: Any) -> None:
        if done >= self._sample:
            raise Killed
        super().progress(done, *args, **kwargs)
