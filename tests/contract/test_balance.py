"""What every balancing policy promises, whatever it prefers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.core import plugins
from modelhall.policy.balance import Facts, Pick, Request

REPLICAS = st.lists(
    st.builds(
        Facts,
        name=st.integers(0, 99).map("r{}".format),
        in_flight=st.integers(0, 1000),
        healthy=st.booleans(),
        latency_s=st.floats(0, 100),
        recent_blocks=st.floats(0, 1e6),
    ),
    max_size=12,
    unique_by=lambda replica: replica.name,
)
REQUESTS = st.builds(
    Request,
    sequence=st.integers(0, 2**60),
    source=st.text(max_size=20),
    blocks=st.just(50),
    shared=st.dictionaries(st.integers(0, 99).map("r{}".format), st.integers(0, 50), max_size=12),
)
EVEN = 1.35
"""The most that a replica may get of the mean, where chance decides."""


@pytest.fixture(params=plugins.names("balance"), scope="module")
def pick(request: pytest.FixtureRequest) -> Pick:
    return plugins.load("balance", request.param).pick


def test_there_are_policies_to_choose_from():
    assert {
        "round-robin", "least-connections", "source-hash", "power-of-two", "least-latency", "prefix-affinity",
    } <= set(plugins.names("balance"))  # fmt: skip


@given(request=REQUESTS, replicas=REPLICAS)
def test_the_choice_is_one_of_the_healthy_replicas(pick: Pick, request: Request, replicas: Sequence[Facts]):
    choice = pick(request, replicas)
    healthy = [replica for replica in replicas if replica.healthy]
    assert choice in healthy if healthy else choice is None


@given(request=REQUESTS, replicas=REPLICAS)
def test_the_same_facts_lead_to_the_same_choice(pick: Pick, request: Request, replicas: Sequence[Facts]):
    assert pick(request, replicas) is pick(request, tuple(replicas))


@given(sequence=st.integers(0, 2**59), count=st.integers(1, 12))
@settings(deadline=None, max_examples=20)
def test_equal_replicas_are_chosen_about_equally_often(pick: Pick, sequence: int, count: int):
    replicas = [Facts(name=f"r{i}") for i in range(count)]
    chosen = Counter(
        pick(Request(sequence + i, f"caller {sequence + i}"), replicas).name for i in range(400 * count)
    )
    assert len(chosen) == count
    assert max(chosen.values()) <= EVEN * 400


def test_no_replica_means_no_choice(pick: Pick):
    assert pick(Request(sequence=7), []) is None
