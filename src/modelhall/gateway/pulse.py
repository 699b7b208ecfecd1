"""What this gateway sees of the requests to each service, told to whoever decides about replicas and versions.

Requests themselves are not looked at: how many there are is sampled a few times a second, so that it costs them
nothing. Told is every second, and at once when a request begins to wait for a replica.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from modelhall.core.ports.clock import Clock
from modelhall.core.ports.traffic import Load, Report, Traffic
from modelhall.gateway.routes import Route, Routes

SAMPLE_S = 0.2
WINDOW = 50
"""Samples a mean is taken of: ten seconds."""
TELL_EVERY = 5
"""Samples from one report to the next."""

log = logging.getLogger(__name__)


class Pulse:
    """Samples the services, and tells of them."""

    def __init__(
        self, name: str, routes: Routes, traffic: Traffic, clock: Clock, revision: Callable[[], int]
    ) -> None:
        """`name` is this gateway's, a new one at each start; `revision` says how far it has followed the store."""
        self._name = name
        self._routes = routes
        self._traffic = traffic
        self._clock = clock
        self._revision = revision
        self._samples: dict[Route, deque[_Sample]] = {}
        """Of the services that are watched."""
        self._waited: set[Route] = set()

    async def run(self) -> None:
        """Until cancelled."""
        count = 0
        while True:
            begun = self.sample()
            if begun or count % TELL_EVERY == 0:
                try:
                    await self._traffic.tell(self.report())
                except OSError as error:
                    log.error("traffic.untold reason=%s", error)
            count += 1
            await asyncio.sleep(SAMPLE_S)

    def sample(self) -> bool:
        """Look at every service; whether requests have begun to wait somewhere."""
        waiting, before, self._samples = set(), self._samples, {}
        for route in filter(_is_watched, self._routes):
            there = sum(endpoint.in_flight for endpoint in (*route.endpoints, *route.leaving))
            taken = self._samples[route] = before.get(route) or deque(maxlen=WINDOW)
            taken.append((there + route.waiting, route.picked))
            if route.waiting:
                waiting.add(route)
        begun = bool(waiting - self._waited)
        self._waited = waiting
        return begun

    def report(self) -> Report:
        """What there is to tell now."""
        return Report(
            gateway=self._name,
            at=self._clock.now(),
            revision=self._revision(),
            services={route.key.path: _load(route, taken) for route, taken in self._samples.items()},
        )


_Sample = tuple[int, int]
"""Requests there, and how often a replica had been picked."""


def _is_watched(route: Route) -> bool:
    """Whether something is decided by its requests now."""
    releases = route.releases
    return bool(route.document.scaling or releases.progress or releases.shadow or route.leaving)


def _load(route: Route, taken: deque[_Sample]) -> Load:
    known_s = [endpoint.latency_s for endpoint in route.releases.served if endpoint.latency_s]
    there = (*route.endpoints, *route.leaving)
    return Load(
        concurrency=round(sum(count for count, _ in taken) / len(taken), 3),
        waiting=route.waiting,
        requests=taken[-1][1] - taken[0][1],
        latency_s=round(sum(known_s) / len(known_s), 4) if known_s else 0.0,
        in_flight={endpoint.name: endpoint.in_flight for endpoint in there if endpoint.in_flight},
        tallies=route.releases.tallies(),
    )
