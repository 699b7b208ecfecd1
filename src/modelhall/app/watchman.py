"""The watchman: hears what the doors notice, and has done what the rules call for.

The API's door tells it in memory, the gateway's through a journal in the home (`trust/signals.py`). The rules are in
`trust/detection.py`; what they call for is done by a `Defence`. What could not be done is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from modelhall.core.errors import HallError
from modelhall.trust.detection import Defence, Detector, Thresholds, Verdict, carry_out
from modelhall.trust.signals import Reader, Signal, Summary

LOOK_S = 0.5
MOST_VERDICTS = 1_000

log = logging.getLogger(__name__)


class Watchman:
    """One for each control plane. Only the one that leads reads the gateway's journal."""

    def __init__(self, folder: Path, defence: Defence, thresholds: Thresholds | None = None) -> None:
        """`folder` is where the gateway writes its signals."""
        self._reader = Reader(folder)
        self._defence = defence
        self._detector = Detector(thresholds)
        self._heard = Summary()
        self._verdicts: deque[Verdict] = deque(maxlen=MOST_VERDICTS)
        self.unknown = 0
        """How often a credential came that nobody has."""

    def hear(self, signal: Signal) -> None:
        """Take down what was noticed in this process."""
        self._heard.note(signal)

    async def run(self, leads: Callable[[], bool]) -> None:
        """For ever."""
        while True:
            try:
                await self.look(reads_journal=leads())
            except OSError as error:
                log.error("watchman.blind reason=%s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self, *, reads_journal: bool = True) -> None:
        """Apply the rules to all that was noticed since the last look, and have done what they call for."""
        reported = await asyncio.to_thread(self._reader.read) if reads_journal else []
        for signal in sorted((*reported, *self._heard.take()), key=lambda one: one.at):
            self.unknown += signal.count if signal.kind == "unknown" else 0
            for verdict in self._detector.see(signal):
                log.warning("verdict.%s subject=%s reason=%s", verdict.act, verdict.subject, verdict.reason)
                self._verdicts.append(verdict)
        await self._act()
        if reported and not self._verdicts:
            await asyncio.to_thread(self._reader.done)

    async def _act(self) -> None:
        """Have every verdict carried out; what fails, such as for want of the store, stays for the next look."""
        for _ in range(len(self._verdicts)):
            verdict = self._verdicts.popleft()
            try:
                await carry_out(verdict, self._defence)
            except (HallError, OSError) as error:
                log.error("verdict.not-done act=%s subject=%s reason=%s", verdict.act, verdict.subject, error)
                self._verdicts.append(verdict)
