"""What a gateway has in hand: drawn in portions, reserved, settled, given back."""

from __future__ import annotations

from modelhall.core.ports.treasury import Portion, Pot
from modelhall.policy.pots import Limit
from modelhall.policy.purse import ASK_AGAIN_S, IDLE_S, Purse

RATE = Limit("tokens", Pot(name="rate", amount=1600, period_s=60.0), "service 'bard'", "1600/minute")
BUDGET = Limit("money", Pot(name="budget", amount=6400), "project 'research'", "100/month")


def test_nothing_is_in_hand_before_it_is_drawn() -> None:
    purse = Purse(RATE, 0.0)
    assert not purse.take(1, 0.0)
    purse.waiting = 40
    assert purse.wanted == 40 + 1600 // 16
    purse.drawn(Portion(140, 1460), 40, 0.0)
    assert purse.take(40, 0.0)
    assert (purse.left, purse.reserved) == (100, 40)


def test_a_budget_of_nothing_pays_for_what_costs_nothing_and_for_nothing_else() -> None:
    purse = Purse(Limit("money", Pot(name="budget", amount=0), "project 'research'", "0/month"), 0.0)
    purse.drawn(Portion(0, 0), 1, 0.0)
    assert purse.take(0, 0.0)
    assert not purse.take(1, 0.0)
    assert purse.left == 0


def test_what_was_not_used_can_be_used_by_others() -> None:
    purse = Purse(BUDGET, 0.0)
    purse.drawn(Portion(100, 6300), 100, 0.0)
    assert purse.take(100, 0.0)
    assert not purse.take(1, 0.0)
    purse.settle(100, 30)
    assert (purse.left, purse.reserved) == (70, 0)


def test_what_was_used_beyond_the_reserve_is_drawn_next() -> None:
    purse = Purse(RATE, 0.0)
    purse.drawn(Portion(10, 1590), 10, 0.0)
    purse.take(10, 0.0)
    purse.settle(10, 50)
    assert purse.left == -40
    assert purse.wanted == 40 + purse.portion


def test_who_asks_too_much_does_not_make_the_gateway_ask_each_time() -> None:
    purse = Purse(RATE, 0.0)
    purse.drawn(Portion(100, 0), 500, 0.0)
    assert not purse.may_draw(500, 0.1)
    assert purse.take(60, 0.1), "who asks for less is served meanwhile"
    assert purse.may_draw(500, ASK_AGAIN_S)


def test_what_lies_unused_is_given_back_and_what_is_owed_is_drawn() -> None:
    purse = Purse(RATE, 0.0)
    purse.drawn(Portion(100, 1500), 100, 0.0)
    purse.take(30, 1.0)
    assert purse.spare(IDLE_S) == 0
    assert purse.spare(1.0 + IDLE_S) == 70
    assert not purse.is_idle(100.0), "somebody is on the way"
    purse.settle(30, 45)
    assert purse.spare(100.0) == -15
    assert purse.is_idle(100.0)


def test_how_long_it_takes_goes_by_what_is_left_and_what_comes_back() -> None:
    purse = Purse(RATE, 0.0)
    purse.drawn(Portion(0, 0), 160, 0.0)
    assert purse.delay_s(160, 0.0) == 6.0
    assert purse.remaining(30.0) == 800
    assert purse.remaining(10_000.0) == 1600
    assert Purse(BUDGET, 0.0).delay_s(10**9, 0.0) == 0.0
