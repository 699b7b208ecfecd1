"""A control plane as `hall up` runs it, on simulated time: it stands for the lease, and drives the loop if it leads.

It is killed and started again any number of times; every life has a holder's name of its own, as every process has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelhall.control import declare
from modelhall.control.datasets import Fingerprint
from modelhall.control.idempotency import Once
from modelhall.control.leadership import Leadership
from modelhall.control.loop import Loop
from modelhall.control.plane import Plane
from modelhall.core.kinds import Document, Key
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.launcher import Launcher
from modelhall.core.ports.store import Store
from modelhall.policy.deciding import Policy
from modelhall.twin.scheduler import Scheduler, pause


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a control plane is made of."""

    clock: Clock
    scheduler: Scheduler
    policy: Policy
    fingerprint: Fingerprint
    new_uid: Callable[[], str]
    loop_type: type[Loop]
    leadership_type: type[Leadership]


class SimulatedPlane:
    """One control plane. Its loop has a way to the store of its own, so that what it writes can be told."""

    def __init__(
        self, name: str, parts: Parts, *, store: Store, loop_store: Store, launcher: Launcher
    ) -> None:
        self.name = name
        self.lives = 0
        self._parts = parts
        self._store = store
        self._loop_store = loop_store
        self._launcher = launcher
        self._plane: Plane | None = None

    @property
    def leads(self) -> bool:
        return self._plane is not None and self._plane.epoch is not None

    @property
    def loop(self) -> Loop | None:
        return self._plane.loop if self._plane is not None else None

    def start(self, *, after_s: float = 0.0) -> None:
        """Begin another life; whatever the one before kept in memory is gone."""
        parts = self._parts
        self.lives += 1
        plane = self._plane = Plane(
            store=self._loop_store,
            launcher=self._launcher,
            leadership=parts.leadership_type(self._store, parts.clock, f"{self.name}-{self.lives}"),
            new_loop=self._new_loop,
            pause=pause,
        )
        parts.scheduler.begin(self.name, plane.stand(), after_s=after_s)
        parts.scheduler.begin(self.name, plane.drive(), after_s=after_s)

    async def apply(self, documents: Sequence[Document], once: Once) -> list[declare.Outcome]:
        parts = self._parts
        return await declare.apply(
            self._store,
            documents,
            fingerprint=parts.fingerprint,
            new_uid=parts.new_uid,
            now=parts.clock.now(),
            once=once,
        )

    async def delete(self, key: Key, once: Once) -> list[declare.Outcome]:
        users = await self._plane.users_of(key) if self._plane is not None else []
        return await declare.delete(self._store, key, users=users, now=self._parts.clock.now(), once=once)

    async def cancel(self, key: Key, once: Once) -> list[declare.Outcome]:
        return await declare.cancel(self._store, key, now=self._parts.clock.now(), once=once)

    def _new_loop(self, epoch: int) -> Loop:
        parts = self._parts
        return parts.loop_type(
            store=self._loop_store,
            launcher=self._launcher,
            clock=parts.clock,
            new_uid=parts.new_uid,
            fingerprint=parts.fingerprint,
            policy=parts.policy,
            epoch=epoch,
        )
