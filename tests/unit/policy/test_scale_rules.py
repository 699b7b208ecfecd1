"""How many replicas each rule wants; every file in policy/scale is tested."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core import plugins
from modelhall.policy.scale import Load, concurrency, latency, queue

SOME = st.floats(0, 1e4)


def load(concurrency: float, replicas: int = 1, at_once: int = 4, latency_s: float | None = None) -> Load:
    return Load(replicas=replicas, at_once=at_once, concurrency=concurrency, latency_s=latency_s)


@pytest.mark.parametrize("name", plugins.names("scale"))
@given(busy=SOME, replicas=st.integers(0, 1000), latency_s=st.none() | SOME, target=st.floats(1e-3, 1e6))
def test_a_rule_wants_a_finite_number_or_does_not_know(
    name: str, busy: float, replicas: int, latency_s: float | None, target: float
) -> None:
    needed = plugins.load("scale", name).needed(load(busy, replicas, latency_s=latency_s), target)
    assert needed is None or (math.isfinite(needed) and needed >= 0)


@pytest.mark.parametrize("name", plugins.names("scale"))
def test_who_is_asked_nothing_needs_no_replica(name: str) -> None:
    assert plugins.load("scale", name).needed(load(0.0, latency_s=0.1), 1.0) == 0


def test_concurrency_keeps_so_many_requests_at_each() -> None:
    assert concurrency.needed(load(10), 4) == 2.5


def test_queue_leaves_room_for_a_full_batch_and_the_target_behind_it() -> None:
    assert queue.needed(load(12), 2) == 2
    assert queue.needed(load(4), 2) < 1


def latency_of(rate: float, alone_s: float, replicas: int) -> float:
    busy = rate * alone_s / replicas
    return alone_s / (1 - busy) if busy < 1 else 100 * alone_s


@pytest.mark.parametrize("rate", [1.0, 20.0, 60.0])
@pytest.mark.parametrize("start", [1, 3, 12])
def test_by_latency_their_number_comes_to_rest_where_the_target_is_met(rate: float, start: int) -> None:
    alone_s, target = 0.1, 0.25
    replicas, seen = start, []
    for _ in range(12):
        latency_s = latency_of(rate, alone_s, replicas)
        needed = latency.needed(load(rate * latency_s, replicas, latency_s=latency_s), target)
        assert needed is not None
        replicas = max(1, math.ceil(needed - 1e-9))
        seen.append(replicas)
    assert len(set(seen[-4:])) == 1
    assert latency_of(rate, alone_s, replicas) <= target * 1.001
    assert replicas == 1 or latency_of(rate, alone_s, replicas - 1) > target


def test_by_latency_no_number_is_wanted_that_would_not_help() -> None:
    assert latency.needed(load(0.2, latency_s=3.0), 1.0) is None
    assert latency.needed(load(5.0, latency_s=None), 1.0) is None
    assert latency.needed(load(5.0, replicas=0, latency_s=0.1), 1.0) is None
