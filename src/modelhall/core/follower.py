"""Keeps those who listen up with a store: each is told what there is of its kinds, and then of every change.

Whatever befalls the store, what they were told last stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from modelhall.core.errors import Gone
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.ports.store import Change, Store

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""The longest wait for the store to tell of a change, and the wait after it could not be reached."""
FIRST_LOOK_S = 0.05
"""The same at the start, when the hall may still be making the store."""


class Listener(Protocol):
    """One who is told. It must not raise."""

    @property
    def kinds(self) -> frozenset[str]: ...

    def start(self, resources: Iterable[AnyResource]) -> None:
        """These are all there are; what was known before and is not among them is gone."""
        ...

    def take_in(self, key: Key, resource: AnyResource | None) -> None:
        """This is what is at `key` now."""
        ...


class Follower:
    """Follows one store for several listeners."""

    def __init__(self, store: Store, *listeners: Listener) -> None:
        self.revision = 0
        """How far the store has been followed."""
        self.loaded = False
        """Whether the store has been read once; before, what is not known may just not be known yet."""
        self._store = store
        self._listeners = listeners
        self._one_at_a_time = asyncio.Lock()

    async def follow(self) -> None:
        """Follow, until cancelled."""
        reachable = True
        while True:
            try:
                await self.catch_up()
                await self._store.wait(self.revision, LOOK_S)
                if not reachable:
                    log.info("store.followed_again revision=%d", self.revision)
                reachable = True
            except Gone:
                # Another history, such as after a restore, or one that was not followed for long.
                self.loaded = False
            except Exception as error:  # noqa: BLE001 - whatever befalls the store, what is known stands
                if reachable:
                    log.warning("store.not_followed revision=%d reason=%r", self.revision, error)
                reachable = False
                await asyncio.sleep(LOOK_S if self.loaded else FIRST_LOOK_S)

    async def catch_up(self) -> None:
        """Tell of all that has changed up to now."""
        async with self._one_at_a_time:
            if not self.loaded:
                await self._load()
            while changes := await self._store.changes(self.revision):
                for change in changes:
                    self._tell(change)

    async def reach(self, revision: int) -> None:
        """Come back when all up to `revision`, which the store has, has been told of."""
        if self.revision < revision:
            await self.catch_up()

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            if change.key.kind in listener.kinds:
                listener.take_in(change.key, change.resource)
        self.revision = change.revision

    async def _load(self) -> None:
        revision = await self._store.revision()
        for listener in self._listeners:
            listener.start(
                [found for kind in sorted(listener.kinds) for found in await self._store.find(kind)]
            )
        self.revision, self.loaded = revision, True
