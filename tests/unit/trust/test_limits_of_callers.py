"""Rates and lock-outs, on a clock that the test turns."""

from __future__ import annotations

import pytest

from modelhall.trust.limits import LONGEST_S, Lockouts, Rate, Recent, place_of


def test_so_many_a_second_and_no_more_go_through() -> None:
    rate = Rate(8.0, burst_s=1.0)
    assert sum(rate.take("anna", 0.0) == 0.0 for _ in range(100)) == 9
    assert sum(rate.take("anna", 1.0 + step / 128) == 0.0 for step in range(1280)) == pytest.approx(88, abs=1)


def test_whoever_waits_as_long_as_told_gets_through() -> None:
    rate = Rate(3.0, burst_s=0.0)
    now = 5.0
    for _ in range(50):
        if delay_s := rate.take("anna", now):
            now += delay_s
            assert rate.take("anna", now) == 0.0


def test_one_caller_s_haste_does_not_slow_another() -> None:
    rate = Rate(1.0)
    while rate.take("anna", 0.0) == 0.0:
        pass
    assert rate.take("ben", 0.0) == 0.0


def test_locks_grow_from_a_second_to_a_quarter_of_an_hour() -> None:
    lockouts = Lockouts(2)
    now, locks = 0.0, []
    for _ in range(16):
        lockouts.failed("here", now)
        locks.append(lockouts.locked_s("here", now))
        now += locks[-1]
    assert locks[:6] == [0.0, 0.0, 1.0, 2.0, 4.0, 8.0]
    assert locks[-1] == LONGEST_S
    assert sorted(locks) == locks


def test_a_lock_ends_by_itself_and_is_forgotten_after_a_quiet_while() -> None:
    lockouts = Lockouts(0)
    for _ in range(4):
        lockouts.failed("here", 0.0)
    assert lockouts.locked_s("here", 7.9) > 0
    assert lockouts.locked_s("here", 8.0) == 0.0
    assert lockouts.failed("here", 8.0 + 901.0) == 1
    assert lockouts.locked_s("here", 8.0 + 901.0) == 1.0


def test_a_lock_from_elsewhere_is_not_shortened_by_a_failure_here() -> None:
    lockouts = Lockouts(0)
    lockouts.lock("here", 500.0)
    lockouts.failed("here", 10.0)
    assert lockouts.locked_s("here", 10.0) == 490.0


def test_a_million_addresses_are_not_remembered() -> None:
    rate, lockouts, recent = Rate(1.0, most=1000), Lockouts(0, most=1000), Recent[int](1000)
    for number in range(20_000):
        rate.take(number, 0.0)
        lockouts.failed(number, 0.0)
        recent.put(number, number)
        recent.get(number - 100)
    assert len(recent) <= 1000
    assert len(rate._buckets) <= 1000
    assert len(lockouts._tries) <= 1000


def test_what_is_in_use_is_not_forgotten_for_what_comes_once() -> None:
    recent = Recent[str](100)
    recent.put("anna", "here")
    for number in range(10_000):
        recent.put(number, "once")
        assert recent.get("anna") == "here"


def test_addresses_that_one_attacker_has_anyway_count_as_one() -> None:
    assert place_of("2001:db8::1") == place_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert place_of("2001:db8:0:1::1") != place_of("2001:db8::1")
    assert place_of("::ffff:10.0.0.1") == place_of("10.0.0.1") == "10.0.0.1"
    assert place_of("2001:db8::/64") == "2001:db8::/64"
    assert place_of("") == ""
