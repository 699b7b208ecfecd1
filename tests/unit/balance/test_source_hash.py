from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.source_hash import pick

CALLERS = [f"10.0.{n // 256}.{n % 256} token default/t{n}" for n in range(200)]


def _places(replicas: list[Facts]) -> dict[str, str]:
    return {caller: pick(Request(n, caller), replicas).name for n, caller in enumerate(CALLERS)}


def test_a_caller_goes_to_the_same_replica_whatever_it_is_doing():
    busy, idle = Facts(name="a", in_flight=1000), Facts(name="b")
    chosen = {pick(Request(n, "somebody"), [busy, idle]).name for n in range(50)}
    assert len(chosen) == 1


@settings(deadline=None, max_examples=30)
@given(count=st.integers(1, 9), gone=st.integers(0, 8))
def test_when_a_replica_goes_only_its_callers_move(count: int, gone: int):
    replicas = [Facts(name=f"r{n}") for n in range(count + 1)]
    left = [one for n, one in enumerate(replicas) if n != gone % len(replicas)]
    before, after = _places(replicas), _places(left)
    assert {caller for caller in CALLERS if before[caller] != after[caller]} == {
        caller for caller in CALLERS if before[caller] == f"r{gone % len(replicas)}"
    }


def test_the_callers_of_one_that_goes_are_shared_by_all_others():
    replicas = [Facts(name=f"r{n}") for n in range(5)]
    before, after = _places(replicas), _places(replicas[1:])
    assert {after[caller] for caller in CALLERS if before[caller] == "r0"} == {"r1", "r2", "r3", "r4"}


def test_the_order_in_which_replicas_are_told_makes_no_difference():
    replicas = [Facts(name=f"r{n}") for n in range(4)]
    assert _places(replicas) == _places(replicas[::-1])
