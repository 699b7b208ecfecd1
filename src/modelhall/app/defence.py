"""What is done at the doors when the rules call for it, and where the parts that do it meet.

A locked address stands in a file that both doors follow; which tokens were revoked and which users suspended is in
the store, which both doors follow too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from modelhall.app.audit.auditing import Auditing
from modelhall.app.doorkeeper import SIGNALS, Doorkeeper
from modelhall.app.listening import Listening, gate_of
from modelhall.app.people import People, key_of
from modelhall.app.watchman import Watchman
from modelhall.core.access import Identity
from modelhall.core.errors import NotFound, NotNow
from modelhall.core.kinds import Key
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.ports.clock import Clock
from modelhall.settings import Settings
from modelhall.trust import locks
from modelhall.trust.detection import Threshold, Thresholds
from modelhall.trust.directory import FIRST, USER

log = logging.getLogger(__name__)

SPREAD_S = 300.0
WATCHMAN = Identity(name="the watchman", project=DEFAULT_PROJECT)


class HallDefence:
    """Carries verdicts out, and has each written into the audit log."""

    def __init__(self, folder: Path, people: People, auditing: Auditing, clock: Clock) -> None:
        """`folder` is where the doors look for locks."""
        self._folder = folder
        self._people = people
        self._auditing = auditing
        self._clock = clock

    async def lock_address(self, address: str, until: float) -> None:
        await asyncio.to_thread(locks.lock, self._folder, address, until, self._clock.now())
        await self._record("lock", address)

    async def revoke(self, token: str) -> None:
        await self._against(token, "revoke", lambda key: self._people.revoke(key, WATCHMAN))

    async def suspend(self, who: str) -> None:
        if who.startswith(USER):
            await self._against(who, "suspend", lambda key: self._people.suspend_user(key, WATCHMAN))
        else:
            reason = "it asked for what is not its own, again and again"
            await self._against(who, "suspend", lambda key: self._people.suspend(key, reason, WATCHMAN))

    async def read_only(self, reason: str) -> None:
        self._auditing.broken = self._auditing.broken or reason

    async def alert(self, message: str) -> None:
        log.critical("alert %s", message)
        await self._record("alert", message)

    async def _against(self, who: str, act: str, do: Callable[[Key], Awaitable[None]]) -> None:
        if who == FIRST:
            # Whoever owns the machine is not shut out of his hall by what others do.
            await self.alert(f"somebody should look into {who}: it would be time to {act} it")
            return
        with contextlib.suppress(NotFound):
            await do(key_of(who))
        await self._record(act, who)

    async def _record(self, act: str, subject: str) -> None:
        # What the hall does to defend itself is done also when it cannot be written down.
        with contextlib.suppress(NotNow):
            detail = {"subject": subject}
            await self._auditing.note(who=WATCHMAN.name, address="", event=f"watchman.{act}", detail=detail)


class Guarding:
    """What guards the control plane's door, and the watchman of both doors."""

    def __init__(self, settings: Settings, clock: Clock, people: People, auditing: Auditing) -> None:
        self._folder = settings.home / SIGNALS
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spread = Threshold(count=settings.token_addresses + 1, within_s=SPREAD_S)
        defence = HallDefence(self._folder, people, auditing, clock)
        self.watchman = Watchman(self._folder, defence, Thresholds(spread=spread))
        self.gate = gate_of("api", settings, clock=clock, tell=self.watchman.hear)

    def doorkeeper(self, listening: Listening) -> Doorkeeper:
        """Who keeps this door's gate up to date."""
        return Doorkeeper(self._folder, self.gate, listening)
