"""What goes on beside each door: it learns which addresses are locked and which certificate is new, and the gateway's
tells the watchman what it noticed.

Requests wait for none of it; the gate, which they pass, decides from memory (`trust/gate.py`).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from modelhall.app.listening import Listening
from modelhall.core.errors import HallError
from modelhall.trust import locks, tls
from modelhall.trust.gate import Gate
from modelhall.trust.signals import Journal, Signal, Summary

LOOK_S = 0.5
SIGNALS = "signals"
"""Folder within the home."""

log = logging.getLogger(__name__)


class Doorkeeper:
    """Keeps the gate of one door up to date."""

    def __init__(self, folder: Path, gate: Gate, listening: Listening) -> None:
        """`folder` is where signals and locks are."""
        self._gate = gate
        self._locks = locks.Follower(folder)
        self._listening = listening
        self._certificate_at = _changed_at(listening)

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                self.look()
            except OSError as error:
                log.error("doorkeeper.blind reason=%s", error)
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Take over what is new."""
        if (found := self._locks.news()) is not None:
            self._gate.lock(found)
        changed_at = _changed_at(self._listening)
        if changed_at != self._certificate_at:
            self._certificate_at = changed_at
            self._take_certificate()

    def _take_certificate(self) -> None:
        """Show another certificate from now on; the one before stays when it does not do."""
        pair, context = self._listening.pair, self._listening.tls
        assert pair is not None
        assert context is not None
        try:
            tls.server_context(pair.certificate, pair.key)
            tls.load_into(context, pair.certificate, pair.key)
        except HallError as error:
            log.error("tls.refused reason=%s", error)
        else:
            log.info("tls.renewed certificate=%s", pair.certificate)


class Reporter:
    """Takes what a gate notices, and writes it where the watchman reads."""

    def __init__(self, folder: Path) -> None:
        self._waiting = Summary()
        self._journal = Journal(folder)

    def hear(self, signal: Signal) -> None:
        self._waiting.note(signal)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.report()
            await asyncio.sleep(LOOK_S)

    async def report(self) -> None:
        """Write down what waits, if anything does."""
        signals = self._waiting.take()
        if not signals:
            return
        try:
            await asyncio.to_thread(self._journal.write, signals)
        except OSError as error:
            # What the gate locks by itself is locked all the same.
            log.error("signals.lost count=%d reason=%s", len(signals), error)


def _changed_at(listening: Listening) -> tuple[int, ...]:
    pair = listening.pair
    if pair is None:
        return ()
    try:
        return tuple(path.stat().st_mtime_ns for path in (pair.certificate, pair.key))
    except OSError:
        return ()
