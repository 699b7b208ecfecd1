"""The table of services: which replicas stand behind each name, as the store said last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence

from modelhall.core import plugins
from modelhall.core.errors import HallError
from modelhall.core.kinds import Key
from modelhall.core.kinds.service import Replica, Service, ServiceResource, asked_for
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.outbox import Outbox
from modelhall.gateway.releases import Releases
from modelhall.gateway.shadow import Shadow
from modelhall.gateway.upstream import Patience
from modelhall.policy import balance, standby
from modelhall.policy.retry_budget import RetryBudget

log = logging.getLogger(__name__)


class Sought:
    """What is known of a request when a replica is looked for; the same for all its tries."""

    __slots__ = ("adapter", "blocks", "release", "source", "version")

    def __init__(
        self,
        *,
        version: str | None = None,
        source: str = "",
        blocks: list[int] | None = None,
        release: str | None = None,
        adapter: str = "",
    ) -> None:
        self.adapter = adapter
        """The adapter asked for; empty: the service's own model."""
        self.version = version
        """The version asked for, by its number or the beginning of its id; None takes the service's."""
        self.release = release
        """The release it is for, while several are in use; only if none of its replicas can be asked, another's."""
        self.source = source
        """Who asks, from where."""
        self.blocks = blocks or []
        """Of its body, if the service's policy goes by prompts (see `policy.prefixes`): what two bodies share at the
        front, their prompts do, and nobody need parse them."""


class Route:
    """One service as the gateway sees it now. The object stays, its content changes."""

    def __init__(self, resource: ServiceResource, replica_key: str, outbox: Outbox) -> None:
        self._replica_key = replica_key
        self._outbox = outbox
        self.key: Key = resource.key
        self.endpoints: tuple[Endpoint, ...] = ()
        self.budget = RetryBudget(0.0)
        """Of tries beyond the first."""
        self.releases = Releases()
        """Which of them are of what release, and whose requests that gets."""
        self.shadow = Shadow()
        """Sends copies, where there is a release that gets some."""
        self.waiting = 0
        """Requests that wait for a replica that can be asked."""
        self.picked = 0
        """How often a replica was picked."""
        self._leaving: list[Endpoint] = []
        """Those to which nobody is sent any more, and that still answer somebody."""
        self._asked: Sequence[Endpoint] = ()
        """Those that are asked: all of the release that is served, unless some stand by."""
        self._changed = asyncio.Event()
        self.update(resource)

    def update(self, resource: ServiceResource) -> None:
        """Take over what the store says; replicas that stay keep their connections and their health."""
        self.document: Service = resource.document
        self.version = resource.status.version
        self._adapters = resource.status.adapters
        self.created_at = resource.created_at
        policy = plugins.load("balance", self.document.balance)
        self._pick: balance.Pick = policy.pick
        self.by_prompt: bool = getattr(policy, "BY_PROMPT", False)
        """Whether replicas are picked by what they have of the prompt."""
        self.patience = Patience(self.document.try_timeout_s, self.document.stall_timeout_s)
        if self.budget.share != self.document.retry_budget:
            self.budget = RetryBudget(self.document.retry_budget)
        self._count = asked_for(resource)
        known = {endpoint.replica: endpoint for endpoint in self.endpoints}
        self.endpoints = tuple(
            known.pop(replica) if replica in known else self._endpoint(replica)
            for replica in self.releases.answering(resource.status)
        )
        self.releases.update(resource.status, self.endpoints)
        for gone in known.values():
            gone.close()
        self._leaving = [*self.leaving, *known.values()]
        self._wake()

    def close(self) -> None:
        self.shadow.close()
        for endpoint in self.endpoints:
            endpoint.close()
        self.endpoints = ()
        self._wake()

    @property
    def healthy(self) -> int:
        """How many replicas may be asked."""
        return sum(not endpoint.health.out for endpoint in self.endpoints)

    @property
    def leaving(self) -> Sequence[Endpoint]:
        """Replicas to which nobody is sent any more, and that still answer somebody."""
        self._leaving = [endpoint for endpoint in self._leaving if endpoint.in_flight]
        return self._leaving

    @property
    def rests(self) -> bool:
        """Whether it has no replicas because nobody asks, and will have some for whoever does."""
        return self.document.scaling is not None and not self.endpoints

    @property
    def wait_s(self) -> float:
        """How long a request may wait for a replica that can be asked."""
        scaling = self.document.scaling
        return scaling.hold_s if scaling is not None and self.rests else self.document.queue_timeout_s

    @property
    def adapters(self) -> Sequence[str]:
        """Those that may be asked for and are served, by name."""
        return [name for name in self._adapters if name in self.document.adapters]

    def version_of(self, adapter: str) -> str | None:
        """The version that answers by this adapter, or the service's own; None before there is one."""
        if not adapter:
            return self.version
        served = self._adapters.get(adapter)
        return served.version if served is not None else None

    def has_adapter(self, adapter: str) -> bool:
        return any(endpoint.serves(adapter) for endpoint in self.releases.asked)

    def has_version(self, version: str, adapter: str = "") -> bool:
        return any(endpoint.is_of(version, adapter) for endpoint in self.endpoints)

    def pick(self, sought: Sought, tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """The replica for the next try, which is not among `tried`; None when there is none to be asked."""
        candidates = self._candidates(sought, tried)
        request = balance.Request(self.picked, sought.source)
        self.picked += 1
        if self.by_prompt:
            shared = {endpoint.name: endpoint.shares(sought.blocks) for endpoint in candidates}
            request = request._replace(blocks=len(sought.blocks), shared=shared)
        choice: Endpoint | None = self._pick(request, candidates)
        if choice is None:
            choice = self._last_resort(sought, tried)
        if choice is not None and self.by_prompt:
            choice.reads(sought.blocks)
        return choice

    def _last_resort(self, sought: Sought, tried: Collection[Endpoint]) -> Endpoint | None:
        """When all are out: the one with the least to do of those that at least answer their checks."""
        left = [e for e in self._all(sought, tried) if e.health.answers]
        return min(left, key=lambda endpoint: endpoint.in_flight, default=None)

    def _candidates(self, sought: Sought, tried: Collection[Endpoint]) -> Sequence[Endpoint]:
        if sought.release is None:
            if sought.version is None and not tried and not sought.adapter:
                return self._asked
            return self._without_standby(self._all(sought, tried))
        own = [e for e in self._all(sought, tried) if e.release == sought.release]
        if any(endpoint.healthy for endpoint in own):
            return self._without_standby(own)
        return self._all(sought, tried)

    def _all(self, sought: Sought, tried: Collection[Endpoint]) -> list[Endpoint]:
        """All that may answer a request and have not tried to."""
        if sought.version is None:
            return [e for e in self.releases.asked if e not in tried and e.serves(sought.adapter)]
        return [e for e in self.endpoints if e not in tried and e.is_of(sought.version, sought.adapter)]

    def _without_standby(self, endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
        return standby.asked(endpoints, self._count) if self.document.standby else endpoints

    async def change(self, timeout_s: float) -> bool:
        """Wait until replicas come, go, or change their health; return whether that happened in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _endpoint(self, replica: Replica) -> Endpoint:
        return Endpoint(replica, self.key.name, self._replica_key, self._outbox, self._wake, self._is_last)

    def _is_last(self, endpoint: Endpoint) -> bool:
        return all(other.health.out for other in self.endpoints if other is not endpoint)

    def _wake(self) -> None:
        self._asked = self._without_standby(self.releases.served)
        self._changed.set()
        self._changed = asyncio.Event()


class Routes:
    """All services by project and name."""

    kinds = frozenset({"service"})
    """What it has to be told of, see `core.follower`."""

    def __init__(self, outbox: Outbox, replica_key: str = "") -> None:
        """Requests leave by `outbox`; `replica_key` is what replicas are asked with (see `core.replica_key`)."""
        self._outbox = outbox
        self._replica_key = replica_key
        self._by_key: dict[tuple[str, str], Route] = {}
        self.known = asyncio.Event()
        """Set once the store has been read."""

    @property
    def loaded(self) -> bool:
        """Whether the store has been read once; before, an unknown name may just not be known yet."""
        return self.known.is_set()

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
        self.known.set()

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
                self._by_key[place] = Route(resource, self._replica_key, self._outbox)
        except (HallError, ValueError) as error:
            log.error("route.refused service=%s reason=%s", resource.key, error)
