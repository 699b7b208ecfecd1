from __future__ import annotations

from collections import Counter

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.least_latency import pick


def test_the_faster_of_two_idle_replicas_is_chosen():
    fast, slow = Facts(name="fast", latency_s=0.1), Facts(name="slow", latency_s=0.2)
    assert all(pick(Request(n), [slow, fast]) is fast for n in range(5))


def test_a_fast_replica_with_many_requests_waiting_is_not():
    fast, slow = Facts(name="fast", latency_s=0.1, in_flight=2), Facts(name="slow", latency_s=0.2)
    assert pick(Request(0), [fast, slow]) is slow


def test_a_replica_nobody_has_asked_yet_gets_to_show_what_it_can():
    known, new = Facts(name="known", latency_s=0.1), Facts(name="new")
    assert Counter(pick(Request(n), [known, new]).name for n in range(10)) == {"known": 5, "new": 5}
