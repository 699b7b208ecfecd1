"""The tries of one request: the replica it is sent to, those it is sent to when that one fails, and for how long.

What a try does is handed in; here is where, how often, and what counts against whom.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

from modelhall.core.errors import NotNow
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.health import Evidence
from modelhall.gateway.hedge import Answer, first_of
from modelhall.gateway.messages import Response
from modelhall.gateway.record import Record
from modelhall.gateway.reply import Failure
from modelhall.gateway.routes import Route, Sought

MOST_WAITING = 1000
"""Requests to one service that may wait for a replica; who comes then is told to come back."""

A = TypeVar("A", bound=Answer)
Ask = Callable[[Endpoint], Awaitable[A]]
"""Has one replica answer; raises Failure."""


class Unwilling(Failure):
    """A replica answered that it cannot; should no other do better, its answer is as good as ours."""

    def __init__(self, replica: str, response: Response) -> None:
        super().__init__(f"replica {replica} answered {response.status}", Evidence.BAD)
        self.response = response


class Tries(Generic[A]):
    """Has a request answered by one replica or another."""

    def __init__(
        self, route: Route, sought: Sought, record: Record, now: Callable[[], float], *, idempotent: bool
    ) -> None:
        """A request that is not `idempotent` is not sent again when a replica may have seen it already."""
        self.record = record
        self.now = now
        self._route = route
        self._sought = sought
        self._idempotent = idempotent
        self._tried: set[Endpoint] = set()

    async def answer(self, ask: Ask[A], *, broken: Endpoint | None = None) -> A:
        """What the first replica that does well has to say; raises Failure or NotNow when none does.

        Of a request that has been answered half, by a replica that is `broken`, another has the rest.
        """
        if broken is None:
            self._route.budget.pay_in()
        else:
            self._tried = {broken}
            self._sought.release = broken.release  # another one would tell another story
        route, document = self._route, self._route.document
        hedge_s = document.hedge_s if self._idempotent else None
        failed: Failure | None = None
        for further in range(1 + document.retries):
            endpoint = route.pick(self._sought, self._tried)
            if endpoint is None:
                if isinstance(failed, Unwilling):
                    raise failed
                endpoint = await self._wait(failed)
                self._tried.clear()
            if further and not route.budget.take():
                break
            try:
                if hedge_s is None:
                    return await self._try(ask, endpoint)
                return await first_of(self._try(ask, endpoint), partial(self._another, ask), hedge_s)
            except Failure as failure:
                if failure.sent and not self._idempotent:
                    raise
                failed = failure
        assert failed is not None
        raise failed

    async def _try(self, ask: Ask[A], endpoint: Endpoint) -> A:
        """Ask one replica, and let what comes of it count."""
        self._tried.add(endpoint)
        try:
            answer = await ask(endpoint)
        except Failure as failure:
            self.record.tries.append(failure.evidence.value)
            endpoint.failed(failure.evidence, failure.message, self.now())
            raise
        self.record.tries.append("answered")
        endpoint.answered()
        return answer

    def _another(self, ask: Ask[A]) -> Coroutine[Any, Any, A] | None:
        """A try with a replica that is not being asked, beside the one that takes long; None if there is none, or
        enough is asked already."""
        endpoint = self._route.pick(self._sought, self._tried)
        return self._try(ask, endpoint) if endpoint is not None and self._route.budget.take() else None

    async def _wait(self, failed: Failure | None) -> Endpoint:
        """Wait for a replica that can be asked; raises what went wrong before, or NotNow, when there is none."""
        route = self._route
        if route.waiting >= MOST_WAITING:
            raise failed or NotNow(f"{route.waiting} requests wait for a replica of {route.key}", delay_s=1.0)
        deadline = self.now() + route.wait_s
        route.waiting += 1
        try:
            while await route.change(deadline - self.now()):
                if endpoint := route.pick(self._sought):
                    return endpoint
        finally:
            route.waiting -= 1
        raise failed or NotNow(f"no replica of {route.key} is ready", delay_s=1.0)
