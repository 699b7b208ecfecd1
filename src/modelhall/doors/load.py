"""Load for a service: requests that come when they come, whether or not those before them were answered.

An open loop, since callers do not wait for each other: a service that is slow is asked no less, and a request's time
counts from when it should have been sent. What comes of it is counted here and shown by `cli/load.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

MOST_RATE = 1000.0
MOST_S = 3600.0
MOST_IN_FLIGHT = 1000
"""A request that would be one more is not sent, and counted as such."""
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sent, and when."""

    path: str
    body: Mapping[str, Any]
    rate: float
    """Requests a second on the mean; the gaps between them are drawn as of a Poisson process."""
    duration_s: float
    seed: int = 1

    def times(self) -> Iterator[float]:
        """When each request is sent, in seconds from the beginning."""
        chance = random.Random(self.seed)
        at = chance.expovariate(self.rate)
        while at < self.duration_s:
            yield at
            at += chance.expovariate(self.rate)


@dataclass(kw_only=True)
class Outcome:
    """What came of it."""

    sent: int = 0
    left_out: int = 0
    """Not sent, since too many were in flight."""
    statuses: Counter[str] = field(default_factory=Counter)
    """By HTTP status, or why there was none."""
    latencies_s: list[float] = field(default_factory=list)
    """Of those answered well."""
    first_s: list[float] = field(default_factory=list)
    """Up to the first token."""
    between_s: list[float] = field(default_factory=list)
    """From one piece of a stream to the next."""
    tokens: int = 0
    took_s: float = 0.0

    def shown(self) -> dict[str, Any]:
        """As figures."""
        return {
            "sent": self.sent, "answered": len(self.latencies_s), "left_out": self.left_out,
            "statuses": dict(sorted(self.statuses.items())), "took_s": round(self.took_s, 3),
            "requests_s": round(len(self.latencies_s) / self.took_s, 2) if self.took_s else None,
            "tokens_s": round(self.tokens / self.took_s, 2) if self.took_s and self.tokens else None,
            "latency_s": quantiles(self.latencies_s), "first_token_s": quantiles(self.first_s),
            "between_tokens_s": quantiles(self.between_s),
        }  # fmt: skip


async def load(plan: Plan, http: httpx.AsyncClient, now: Callable[[], float]) -> Outcome:
    """Send all of it, and come back when everything is answered."""
    outcome = Outcome()
    begun = now()
    in_flight: set[asyncio.Task[None]] = set()
    for at in plan.times():
        await asyncio.sleep(max(0.0, begun + at - now()))
        if len(in_flight) >= MOST_IN_FLIGHT:
            outcome.left_out += 1
            continue
        outcome.sent += 1
        task = asyncio.create_task(_ask(plan, http, now, begun + at, outcome))
        in_flight.add(task)
        task.add_done_callback(in_flight.discard)
    if in_flight:
        await asyncio.wait(in_flight)
    outcome.took_s = now() - begun
    return outcome


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """`p50`, `p90` and `p99`; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        f"p{q * 100:g}": round(ordered[min(len(ordered) - 1, int(q * len(ordered)))], 6) for q in QUANTILES
    }


async def _ask(
    plan: Plan, http: httpx.AsyncClient, now: Callable[[], float], due: float, outcome: Outcome
) -> None:
    """One request; its time counts from when it was due."""
    try:
        async with http.stream("POST", plan.path, json=plan.body) as answer:
            if answer.is_success:
                await _hear(answer, now, due, outcome)
            outcome.statuses[str(answer.status_code)] += 1
            if answer.is_success:
                outcome.latencies_s.append(now() - due)
    except httpx.HTTPError as error:
        outcome.statuses[type(error).__name__] += 1


async def _hear(answer: httpx.Response, now: Callable[[], float], due: float, outcome: Outcome) -> None:
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        await answer.aread()
        return
    before = None
    async for line in answer.aiter_lines():
        if not line.startswith("data: {"):
            continue
        event = json.loads(line[6:])
        outcome.tokens += (event.get("usage") or {}).get("completion_tokens", 0)
        if any(_says(choice) for choice in event["choices"]):
            at = now()
            if before is None:
                outcome.first_s.append(at - due)
            else:
                outcome.between_s.append(at - before)
            before = at


def _says(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("text") or (choice.get("delta") or {}).get("content"))
