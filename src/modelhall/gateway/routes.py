"""The table of services: which replicas stand behind each name, as the store said last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence

from modelhall.core import plugins
from modelhall.core.errors import HallError
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import Service, ServiceResource
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.upstream import Patience
from modelhall.policy import balance, standby
from modelhall.policy.retry_budget import RetryBudget

log = logging.getLogger(__name__)


class Sought:
    """What is known of a request when a replica is looked for; the same for all its tries."""

    __slots__ = ("blocks", "source", "version")

    def __init__(
        self, *, version: str | None = None, source: str = "", blocks: list[int] | None = None
    ) -> None:
        self.version = version
        """The beginning of the version asked for; None takes the service's."""
        self.source = source
        """Who asks, from where."""
        self.blocks = blocks or []
        """Of its body, if the service's policy goes by prompts (see `policy.prefixes`): what two bodies share at the
        front, their prompts do, and nobody need parse them."""


class Route:
    """One service as the gateway sees it now. The object stays, its content changes."""

    def __init__(self, resource: ServiceResource, replica_key: str) -> None:
        self._replica_key = replica_key
        self.key: Key = resource.key
        self.endpoints: tuple[Endpoint, ...] = ()
        self.budget = RetryBudget(0.0)
        """Of tries beyond the first."""
        self._asked: Sequence[Endpoint] = ()
        """Those of them that are asked: all, unless some stand by."""
        self._picked = 0
        self._changed = asyncio.Event()
        self.update(resource)

    def update(self, resource: ServiceResource) -> None:
        """Take over what the store says; replicas that stay keep their connections and their health."""
        self.document: Service = resource.document
        self.version = resource.status.version
        self.created_at = resource.created_at
        policy = plugins.load("balance", self.document.balance)
        self._pick: balance.Pick = policy.pick
        self.by_prompt: bool = getattr(policy, "BY_PROMPT", False)
        """Whether replicas are picked by what they have of the prompt."""
        self.patience = Patience(self.document.try_timeout_s, self.document.stall_timeout_s)
        if self.budget.share != self.document.retry_budget:
            self.budget = RetryBudget(self.document.retry_budget)
        known = {endpoint.replica: endpoint for endpoint in self.endpoints}
        ready = resource.status.ready
        self.endpoints = tuple(
            known.pop(replica)
            if replica in known
            else Endpoint(replica, self._replica_key, self._wake, self._is_last)
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

    def pick(self, sought: Sought, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The replica for the next try, which is not among `tried`; None when there is none to be asked."""
        candidates = self._candidates(sought.version, tried)
        request = balance.Request(self._picked, sought.source)
        self._picked += 1
        if self.by_prompt:
            shared = {endpoint.name: endpoint.shares(sought.blocks) for endpoint in candidates}
            request = request._replace(blocks=len(sought.blocks), shared=shared)
        choice: Endpoint | None = self._pick(request, candidates)
        if choice is None:
            choice = self._last_resort(sought.version, tried)
        if choice is not None and self.by_prompt:
            choice.reads(sought.blocks)
        return choice

    def _last_resort(self, version: str | None, tried: Collection[Endpoint]) -> Endpoint | None:
        """When all are out: the one with the least to do of those that at least answer their checks."""
        left = [e for e in self._all(version, tried) if e.health.answers]
        return min(left, key=lambda endpoint: endpoint.in_flight, default=None)

    def _candidates(self, version: str | None, tried: Collection[Endpoint]) -> Sequence[Endpoint]:
        if version is None and not tried:
            return self._asked
        return self._without_standby(self._all(version, tried))

    def _all(self, version: str | None, tried: Collection[Endpoint]) -> list[Endpoint]:
        return [
            endpoint
            for endpoint in self.endpoints
            if endpoint not in tried and (version is None or endpoint.version.startswith(version))
        ]

    def _without_standby(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        return standby.asked(endpoints, self.document.replicas) if self.document.standby else endpoints

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
        self._asked = self._without_standby(self.endpoints)
        self._changed.set()
        self._changed = asyncio.Event()


class Routes:
    """All services by project and name."""

    kinds = frozenset({"service"})
    """What it has to be told of, see `core.follower`."""

    def __init__(self, replica_key: str = "") -> None:
        """`replica_key` is what replicas are asked with (see `core.replica_key`)."""
        self._replica_key = replica_key
        self._by_key: dict[tuple[str, str], Route] = {}
        self.loaded = False
        """Whether the store has been read once; before, an unknown name may just not be known yet."""

    def __iter__(self) -> Iterator[Route]:
        return iter(list(self._by_key.values()))

    def find(self, project: str, name: str) -> Route | None:
        return self._by_key.get((project, name))

    def start(self, resources: Iterable[ServiceResource]) -> None:
        """These are all the services there are."""
        there = list(resources)
        for resource in there:
            self._put(resource)
        for place in self._by_key.keys() - {(found.key.project, found.key.name) for found in there}:
            self._by_key.pop(place).close()
        self.loaded = True

    def take_in(self, key: Key, resource: ServiceResource | None) -> None:
        """A service has changed, or is gone."""
        if resource is not None:
            self._put(resource)
        elif route := self._by_key.pop((key.project, key.name), None):
            route.close()

    def _put(self, resource: ServiceResource) -> None:
        """Make or renew a route; one service that makes no sense does not hold up the others."""
        place = (resource.key.project, resource.key.name)
        try:
            if route := self._by_key.get(place):
                route.update(resource)
            else:
                self._by_key[place] = Route(resource, self._replica_key)
        except (HallError, ValueError) as error:
            log.error("route.refused service=%s reason=%s", resource.key, error)
