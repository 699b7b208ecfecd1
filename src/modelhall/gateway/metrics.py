"""Counts and times of requests, in Prometheus' text format.

Label values come from the store, HTTP status codes and our own words, never from what a caller sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from modelhall.core.kinds import Key
from modelhall.core.kinds.limits import NANO
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Routes

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What this process has counted since it started."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.unmetered = 0
        """Requests that were answered and whose usage could not be written down."""
        self.unlimited = 0
        """Requests that were let through since the treasury could not say whether a limit is used up."""
        self.cache_bytes: int | None = None
        """What kept answers take in this process."""
        self._by_service: defaultdict[Key | None, _Counts] = defaultdict(_Counts)

    def refused(self, status: int) -> None:
        """Count bytes that never became a request."""
        self._by_service[None].requests[status] += 1

    def looked_up(self, record: Record, outcome: str) -> None:
        """Count what came of looking for a kept answer."""
        self._by_service[record.service].looked_up[outcome] += 1

    def over(self, record: Record, duration_s: float) -> None:
        """Count a request that is over."""
        counts = self._by_service[record.service]
        counts.requests[record.status] += 1
        counts.durations[bisect_left(BUCKETS_S, duration_s)] += 1
        counts.duration_s += duration_s
        counts.charge_nano += record.charge_nano
        counts.tokens["in"] += record.tokens_in or 0
        counts.tokens["out"] += record.tokens_out or 0
        counts.tokens["cached"] += record.tokens_cached or 0
        for outcome in record.tries:
            counts.tries[outcome] += 1

    def render(self, routes: Routes) -> bytes:
        return "".join(f"{line}\n" for line in self._lines(routes)).encode()

    def _lines(self, routes: Routes) -> Iterator[str]:
        name = "modelhall_gateway_requests_total"
        yield from _about(name, "counter", "Requests by service and status; 499 is a caller who went away.")
        for service, counts in self._by_service.items():
            for status, count in counts.requests.items():
                yield f'{name}{{service="{_path(service)}",status="{status}"}} {count}'

        name = "modelhall_gateway_request_duration_seconds"
        yield from _about(name, "histogram", "From the head of a request to the end of its answer.")
        for service, counts in self._by_service.items():
            yield from _histogram(name, f'service="{_path(service)}"', counts)

        name = "modelhall_gateway_tries_total"
        yield from _about(name, "counter", "Requests sent to replicas, by what came of it.")
        for service, counts in self._by_service.items():
            for outcome, count in counts.tries.items():
                yield f'{name}{{service="{_path(service)}",outcome="{outcome}"}} {count}'

        name = "modelhall_gateway_cache_lookups_total"
        words = "Looks for a kept answer, by what came of them; joined is an equal request's on its way."
        yield from _about(name, "counter", words)
        for service, counts in self._by_service.items():
            for outcome, count in counts.looked_up.items():
                yield f'{name}{{service="{_path(service)}",outcome="{outcome}"}} {count}'
        if self.cache_bytes is not None:
            yield from _about("modelhall_gateway_cache_bytes", "gauge", "Kept answers in this process.")
            yield f"modelhall_gateway_cache_bytes {self.cache_bytes}"

        name = "modelhall_gateway_charged_total"
        yield from _about(name, "counter", "What requests were charged, in the hall's currency.")
        for service, counts in self._by_service.items():
            yield f'{name}{{service="{_path(service)}"}} {counts.charge_nano / NANO:.9f}'

        name = "modelhall_gateway_tokens_total"
        words = "Tokens read (in), of those such as the replica had read before (cached), and told (out)."
        yield from _about(name, "counter", words)
        for service, counts in self._by_service.items():
            for kind, count in counts.tokens.items():
                if count:
                    yield f'{name}{{service="{_path(service)}",kind="{kind}"}} {count}'

        name = "modelhall_gateway_replicas"
        yield from _about(name, "gauge", "Replicas that are ready, by whether they are asked.")
        for route in routes:
            label, healthy = f'service="{_path(route.key)}"', route.healthy
            yield f'{name}{{{label},state="healthy"}} {healthy}'
            yield f'{name}{{{label},state="out"}} {len(route.endpoints) - healthy}'

        yield from _about("modelhall_gateway_in_flight", "gauge", "Requests being handled.")
        yield f"modelhall_gateway_in_flight {self.in_flight}"
        yield from _about("modelhall_gateway_unmetered_total", "counter", "Requests whose usage was lost.")
        yield f"modelhall_gateway_unmetered_total {self.unmetered}"
        words = "Requests let through unlimited, since the treasury could not be reached."
        yield from _about("modelhall_gateway_unlimited_total", "counter", words)
        yield f"modelhall_gateway_unlimited_total {self.unlimited}"


class _Counts:
    """The requests of one service."""

    def __init__(self) -> None:
        self.requests: defaultdict[int, int] = defaultdict(int)
        """By status."""
        self.tries: defaultdict[str, int] = defaultdict(int)
        """By what came of them."""
        self.looked_up: defaultdict[str, int] = defaultdict(int)
        """Looks for kept answers, by what came of them."""
        self.tokens: defaultdict[str, int] = defaultdict(int)
        """in, out and cached, as far as replicas tell."""
        self.charge_nano = 0
        self.durations = [0] * (len(BUCKETS_S) + 1)
        """By bucket; the last one has no bound."""
        self.duration_s = 0.0


def _histogram(name: str, labels: str, counts: _Counts) -> Iterator[str]:
    below = 0
    for bound, count in zip((*BUCKETS_S, "+Inf"), counts.durations, strict=True):
        below += count
        yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
    yield f"{name}_sum{{{labels}}} {counts.duration_s:.6f}"
    yield f"{name}_count{{{labels}}} {below}"


def _path(service: Key | None) -> str:
    """`project/name`; empty for requests that named no service there is."""
    return "" if service is None else f"{service.project}/{service.name}"


def _about(name: str, type: str, words: str) -> Iterable[str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {type}"
