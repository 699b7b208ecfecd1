from __future__ import annotations

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.least_connections import pick

IDLE, BUSY, BUSIER = (Facts(name=f"r{n}", in_flight=n) for n in range(3))


def test_the_replica_with_the_least_to_do_is_chosen():
    assert all(pick(Request(sequence=i), [BUSIER, IDLE, BUSY]) is IDLE for i in range(5))


def test_a_replica_that_is_out_is_not_chosen_for_being_idle():
    out = Facts(name="out", healthy=False)
    assert pick(Request(sequence=0), [out, BUSIER, BUSY]) is BUSY


def test_replicas_with_equally_little_to_do_take_turns():
    other = Facts(name="other")
    assert [pick(Request(sequence=i), [IDLE, BUSY, other]) for i in range(4)] == [IDLE, other, IDLE, other]
