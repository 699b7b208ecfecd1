"""Who is looked at, and when."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.control.wakeups import LONGEST_DELAY_S, Wakeups
from modelhall.core.kinds import Key

A, B, C = (Key("model", "default", name) for name in "abc")


def taken(wakeups: Wakeups) -> list[Key]:
    """All who are due, in their order."""
    found = []
    while wakeups:
        found.append(wakeups.next())
    return found


def test_who_was_woken_first_comes_first_and_once_however_often_he_was_woken() -> None:
    wakeups = Wakeups()
    wakeups.wake(B, A)
    wakeups.wake(C, B, A)
    assert taken(wakeups) == [B, A, C]
    assert not wakeups


def test_who_is_woken_again_after_his_turn_gets_another_one() -> None:
    wakeups = Wakeups()
    wakeups.wake(A, B)
    assert wakeups.next() == A
    wakeups.wake(A)
    assert taken(wakeups) == [B, A]


def test_an_alarm_wakes_at_its_instant_and_not_before() -> None:
    wakeups = Wakeups()
    wakeups.set_alarm(A, at=10.0)
    wakeups.ring(9.9)
    assert taken(wakeups) == []
    wakeups.ring(10.0)
    assert taken(wakeups) == [A]
    wakeups.ring(100.0)
    assert taken(wakeups) == []


@pytest.mark.parametrize("instants", [(10.0, 5.0, 20.0), (5.0, 10.0), (20.0, 5.0, 5.0)])
def test_of_all_alarms_of_one_the_earliest_rings_and_only_that(instants: tuple[float, ...]) -> None:
    wakeups = Wakeups()
    for at in instants:
        wakeups.set_alarm(A, at)
    wakeups.ring(5.0)
    assert taken(wakeups) == [A]
    wakeups.ring(1000.0)
    assert taken(wakeups) == []


def test_an_alarm_that_has_rung_can_be_set_again_also_to_the_same_instant() -> None:
    wakeups = Wakeups()
    for at in (10.0, 5.0):
        wakeups.set_alarm(A, at)
    wakeups.ring(5.0)
    assert taken(wakeups) == [A]
    wakeups.set_alarm(A, 10.0)
    wakeups.ring(10.0)
    assert taken(wakeups) == [A]
    assert wakeups.wait_s(10.0) == inf


def test_alarms_ring_in_the_order_of_their_instants() -> None:
    wakeups = Wakeups()
    for key, at in ((A, 3.0), (B, 1.0), (C, 2.0)):
        wakeups.set_alarm(key, at)
    wakeups.ring(5.0)
    assert taken(wakeups) == [B, C, A]


def test_the_wait_is_none_while_somebody_is_due_and_else_until_the_next_alarm() -> None:
    wakeups = Wakeups()
    assert wakeups.wait_s(0.0) == inf
    wakeups.set_alarm(A, 10.0)
    assert wakeups.wait_s(4.0) == 6.0
    assert wakeups.wait_s(11.0) == 0.0
    wakeups.wake(B)
    assert wakeups.wait_s(4.0) == 0.0


def test_who_fails_again_and_again_is_looked_at_ever_more_rarely_and_at_least_once_a_minute() -> None:
    wakeups = Wakeups()
    assert [wakeups.failed(A, 0.0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert {wakeups.failed(A, 0.0) for _ in range(5000)} == {LONGEST_DELAY_S}


def test_whoever_failed_is_woken_after_his_delay_and_nobody_else_is_delayed() -> None:
    wakeups = Wakeups()
    wakeups.failed(A, 100.0)
    wakeups.ring(101.0)
    assert taken(wakeups) == [A]
    assert wakeups.failed(B, 101.0) == 1
    assert wakeups.failed(A, 101.0) == 2


def test_one_success_forgets_all_failures() -> None:
    wakeups = Wakeups()
    for _ in range(6):
        wakeups.failed(A, 0.0)
    wakeups.succeeded(A)
    assert wakeups.failed(A, 0.0) == 1


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 50))),
    st.lists(st.integers(0, 60), max_size=10).map(sorted),
)
def test_nobody_sleeps_through_an_alarm_and_nobody_is_woken_without_one(
    alarms: list[tuple[Key, int]], looks: list[int]
) -> None:
    wakeups = Wakeups()
    for key, at in alarms:
        wakeups.set_alarm(key, at)
    left = {key: min(at for other, at in alarms if other == key) for key, _ in alarms}
    for now in looks:
        wakeups.ring(now)
        due = {key for key, at in left.items() if at <= now}
        assert sorted(taken(wakeups)) == sorted(due)
        left = {key: at for key, at in left.items() if key not in due}
        assert wakeups.wait_s(now) <= min(left.values(), default=inf) - now
