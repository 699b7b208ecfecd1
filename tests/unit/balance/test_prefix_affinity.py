from __future__ import annotations

from modelhall.policy.balance import Facts, Request
from modelhall.policy.balance.prefix_affinity import pick

A, B = Facts(name="a"), Facts(name="b")


def test_the_replica_that_knows_more_of_the_prompt_is_chosen():
    assert pick(Request(0, "", 40, {"a": 10, "b": 30}), [A, B]) is B
    assert pick(Request(1, "", 40, {"a": 10, "b": 30}), [A, B]) is B


def test_one_that_has_much_more_to_do_is_not():
    busy = Facts(name="b", in_flight=25)
    assert pick(Request(0, "", 40, {"a": 10, "b": 30}), [A, busy]) is A


def test_a_beginning_that_all_share_does_not_make_all_go_to_one():
    worked = Facts(name="b", recent_blocks=1000)
    assert pick(Request(0, "", 40, {"b": 5}), [A, worked]) is A


def test_prompts_that_nobody_knows_take_turns():
    assert [pick(Request(n, "", 40), [A, B]) for n in range(4)] == [A, B, A, B]


def test_a_replica_that_is_out_is_not_chosen_for_what_it_knows():
    out = Facts(name="b", healthy=False)
    assert pick(Request(0, "", 40, {"b": 40}), [A, out]) is A
