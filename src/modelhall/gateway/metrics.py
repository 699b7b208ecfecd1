"""Counts and times of requests, in Prometheus' text format.

Label values come from the store, HTTP status codes and our own words, never from what a caller sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

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
        self._requests: Counter[tuple[str, int]] = Counter()
        self._tries: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, _Histogram] = {}

    def refused(self, status: int) -> None:
        """Count bytes that never became a request."""
        self._requests["", status] += 1

    def over(self, record: Record, duration_s: float) -> None:
        """Count a request that is over."""
        service = "" if record.service is None else f"{record.service.project}/{record.service.name}"
        self._requests[service, record.status] += 1
        for outcome in record.tries:
            self._tries[service, outcome] += 1
        histogram = self._durations.get(service)
        if histogram is None:
            histogram = self._durations[service] = _Histogram()
        histogram.add(duration_s)

    def render(self, routes: Routes) -> bytes:
        return "".join(f"{line}\n" for line in self._lines(routes)).encode()

    def _lines(self, routes: Routes) -> Iterator[str]:
        name = "modelhall_gateway_requests_total"
        yield from _about(name, "counter", "Requests by service and status; 499 is a caller who went away.")
        for (service, status), count in self._requests.items():
            yield f'{name}{{service="{service}",status="{status}"}} {count}'

        name = "modelhall_gateway_request_duration_seconds"
        yield from _about(name, "histogram", "From the head of a request to the end of its answer.")
        for service, histogram in self._durations.items():
            yield from histogram.lines(name, f'service="{service}"')

        name = "modelhall_gateway_tries_total"
        yield from _about(name, "counter", "Requests sent to replicas, by what came of it.")
        for (service, outcome), count in self._tries.items():
            yield f'{name}{{service="{service}",outcome="{outcome}"}} {count}'

        name = "modelhall_gateway_replicas"
        yield from _about(name, "gauge", "Replicas that are ready, by whether they are asked.")
        for route in routes:
            service, healthy = f"{route.key.project}/{route.key.name}", route.healthy
            yield f'{name}{{service="{service}",state="healthy"}} {healthy}'
            yield f'{name}{{service="{service}",state="out"}} {len(route.endpoints) - healthy}'

        yield from _about("modelhall_gateway_in_flight", "gauge", "Requests being handled.")
        yield f"modelhall_gateway_in_flight {self.in_flight}"
        yield from _about("modelhall_gateway_unmetered_total", "counter", "Requests whose usage was lost.")
        yield f"modelhall_gateway_unmetered_total {self.unmetered}"


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, duration_s: float) -> None:
        self._counts[bisect_left(BUCKETS_S, duration_s)] += 1
        self._sum_s += duration_s

    def lines(self, name: str, labels: str) -> Iterator[str]:
        below = 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), self._counts, strict=True):
            below += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {below}'
        yield f"{name}_sum{{{labels}}} {self._sum_s:.6f}"
        yield f"{name}_count{{{labels}}} {below}"


def _about(name: str, type: str, words: str) -> Iterable[str]:
    return f"# HELP {name} {words}", f"# TYPE {name} {type}"
