from __future__ import annotations

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.round_robin import pick

A, B, C = (Facts(name=name) for name in "abc")


def test_replicas_are_chosen_in_turn():
    chosen = [pick(Request(sequence=i), [A, B, C]) for i in range(6)]
    assert chosen == [A, B, C, A, B, C]


def test_a_replica_that_is_out_is_passed_over():
    out = Facts(name="b", healthy=False)
    assert [pick(Request(sequence=i), [A, out, C]) for i in range(4)] == [A, C, A, C]


def test_how_busy_a_replica_is_makes_no_difference():
    busy = Facts(name="a", in_flight=1000)
    assert pick(Request(sequence=0), [busy, B]) is busy
