"""What every balancing policy promises, whatever it prefers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core import plugins
from modelhall.policy.balance import Pick, Replica, Request

REPLICAS = st.lists(
    st.builds(
        Replica,
        name=st.integers(0, 99).map("r{}".format),
        in_flight=st.integers(0, 1000),
        healthy=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda replica: replica.name,
)
REQUESTS = st.builds(Request, sequence=st.integers(0, 2**60))


@pytest.fixture(params=plugins.names("balance"), scope="module")
def pick(request: pytest.FixtureRequest) -> Pick:
    return plugins.load("balance", request.param).pick


def test_there_are_policies_to_choose_from():
    assert {"round-robin", "least-connections"} <= set(plugins.names("balance"))


@given(request=REQUESTS, replicas=REPLICAS)
def test_the_choice_is_one_of_the_healthy_replicas(pick: Pick, request: Request, replicas: Sequence[Replica]):
    choice = pick(request, replicas)
    healthy = [replica for replica in replicas if replica.healthy]
    assert choice in healthy if healthy else choice is None


@given(request=REQUESTS, replicas=REPLICAS)
def test_the_same_facts_lead_to_the_same_choice(pick: Pick, request: Request, replicas: Sequence[Replica]):
    assert pick(request, replicas) is pick(request, tuple(replicas))


@given(sequence=st.integers(0, 2**60), count=st.integers(1, 12))
def test_equal_replicas_are_chosen_equally_often(pick: Pick, sequence: int, count: int):
    replicas = [Replica(name=f"r{i}") for i in range(count)]
    choices = [pick(Request(sequence=sequence + i), replicas) for i in range(10 * count)]
    assert [choices.count(replica) for replica in replicas] == [10] * count


def test_no_replica_means_no_choice(pick: Pick):
    assert pick(Request(sequence=7), []) is None
