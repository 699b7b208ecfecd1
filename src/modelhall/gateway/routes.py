"""The table of services: which replicas stand behind each name, as the store said last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator

from modelhall.core import plugins
from modelhall.core.errors import Gone, HallError
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import Service, ServiceResource
from modelhall.core.ports.store import Change, Store
from modelhall.gateway.endpoint import Endpoint
from modelhall.policy import balance

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""The longest wait for the store to tell of a change, and the wait after it could not be reached."""
FIRST_LOOK_S = 0.05
"""The same at the start, when the hall may still be making the store."""


class Route:
    """One service as the gateway sees it now. The object stays, its content changes."""

    def __init__(self, resource: ServiceResource) -> None:
        self.key: Key = resource.key
        self.endpoints: tuple[Endpoint, ...] = ()
        self._picked = 0
        self._changed = asyncio.Event()
        self.update(resource)

    def update(self, resource: ServiceResource) -> None:
        """Take over what the store says; replicas that stay keep their connections and their health."""
        self.document: Service = resource.document
        self.version = resource.status.version
        self._pick: balance.Pick = plugins.load("balance", self.document.balance).pick
        known = {endpoint.replica: endpoint for endpoint in self.endpoints}
        ready = resource.status.ready
        self.endpoints = tuple(
            known.pop(replica) if replica in known else Endpoint(replica, self._wake, self._is_last)
            for replica in ready
        )
        for gone in known.values():
            gone.close()
        self._wake()

    def close(self) -> None:
        for endpoint in self.endpoints:
            endpoint.close()
        self.endpoints = ()
        self._wake()

    @property
    def healthy(self) -> int:
        """How many replicas may be asked."""
        return sum(not endpoint.health.out for endpoint in self.endpoints)

    def has_version(self, version: str) -> bool:
        return any(endpoint.version.startswith(version) for endpoint in self.endpoints)

    def pick(self, version: str | None, tried: Collection[Endpoint]) -> Endpoint | None:
        """The replica for the next try: of `version`, if one is asked for, and not among `tried`."""
        candidates = [
            endpoint
            for endpoint in self.endpoints
            if endpoint not in tried and (version is None or endpoint.version.startswith(version))
        ]
        request = balance.Request(sequence=self._picked)
        self._picked += 1
        choice = self._pick(request, [endpoint.facts for endpoint in candidates])
        return next((e for e in candidates if e.facts is choice), None)

    async def change(self, timeout_s: float) -> bool:
        """Wait until replicas come, go, or change their health; return whether that happened in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _is_last(self, endpoint: Endpoint) -> bool:
        return all(other.health.out for other in self.endpoints if other is not endpoint)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Routes:
    """All services by project and name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_key: dict[tuple[str, str], Route] = {}
        self.revision = 0
        """How far the store has been followed."""
        self.loaded = False
        """Whether the store has been read once; before, an unknown name may just not be known yet."""

    def __iter__(self) -> Iterator[Route]:
        return iter(list(self._by_key.values()))

    def find(self, project: str, name: str) -> Route | None:
        return self._by_key.get((project, name))

    async def follow(self) -> None:
        """Keep the table as the store has it, until cancelled. While the store is silent, it stands."""
        reachable = True
        while True:
            try:
                await self._catch_up()
                await self._store.wait(self.revision, LOOK_S)
                if not reachable:
                    log.info("routes.fresh services=%d", len(self._by_key))
                reachable = True
            except Gone:
                # Another history, such as after a restore, or one that was not followed for long.
                self.loaded = False
            except Exception as error:  # noqa: BLE001 - whatever befalls the store, serving goes on
                if reachable:
                    log.warning("routes.stale services=%d reason=%r", len(self._by_key), error)
                reachable = False
                await asyncio.sleep(LOOK_S if self.loaded else FIRST_LOOK_S)

    async def _catch_up(self) -> None:
        if not self.loaded:
            self.revision = await self._store.revision()
            there = await self._store.find("service")
            for resource in there:
                self._put(resource)
            for place in self._by_key.keys() - {(found.key.project, found.key.name) for found in there}:
                self._by_key.pop(place).close()
            self.loaded = True
        for change in await self._store.changes(self.revision):
            if change.key.kind == "service":
                self._apply(change)
            self.revision = change.revision

    def _apply(self, change: Change) -> None:
        if change.resource is not None:
            self._put(change.resource)
        elif route := self._by_key.pop((change.key.project, change.key.name), None):
            route.close()

    def _put(self, resource: ServiceResource) -> None:
        """Make or renew a route; one service that makes no sense does not hold up the others."""
        place = (resource.key.project, resource.key.name)
        try:
            if route := self._by_key.get(place):
                route.update(resource)
            else:
                self._by_key[place] = Route(resource)
        except (HallError, ValueError) as error:
            log.error("route.refused service=%s reason=%s", resource.key, error)
