from __future__ import annotations

from collections import Counter

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.power_of_two import pick


def test_of_two_replicas_the_less_busy_is_chosen():
    busy, idle = Facts(name="a", in_flight=1), Facts(name="b")
    assert all(pick(Request(n), [busy, idle]) is idle for n in range(50))


def test_the_busiest_of_all_is_never_chosen():
    replicas = [Facts(name=f"r{n}", in_flight=n) for n in range(6)]
    chosen = Counter(pick(Request(n), replicas).name for n in range(3000))
    assert "r5" not in chosen
    assert chosen["r0"] > chosen["r1"] > chosen["r2"] > chosen["r3"] > chosen["r4"] > 0


def test_many_gateways_do_not_all_choose_the_idlest():
    replicas = [Facts(name=f"r{n}", in_flight=n) for n in range(8)]
    chosen = Counter(pick(Request(gateway * 1_000_003), replicas).name for gateway in range(1000))
    assert chosen["r0"] < 400
