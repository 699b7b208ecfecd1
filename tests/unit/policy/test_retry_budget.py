from __future__ import annotations

from modelhall.policy.retry_budget import RESERVE, RetryBudget


def test_a_replica_that_dies_with_many_requests_on_it_can_have_them_all_sent_elsewhere():
    budget = RetryBudget(0.2)
    assert sum(budget.take() for _ in range(1000)) == RESERVE


def test_while_nothing_goes_well_further_tries_are_a_share_of_the_requests():
    budget = RetryBudget(0.25)
    while budget.take():
        pass
    taken = 0
    for _ in range(1000):
        budget.pay_in()
        taken += budget.take()
    assert taken == 250


def test_what_was_saved_up_in_good_times_is_bounded():
    budget = RetryBudget(1.0, reserve=10)
    for _ in range(1000):
        budget.pay_in()
    assert sum(budget.take() for _ in range(1000)) == 10


def test_a_share_of_nothing_leaves_the_reserve_only():
    budget = RetryBudget(0.0, reserve=3)
    budget.pay_in()
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
