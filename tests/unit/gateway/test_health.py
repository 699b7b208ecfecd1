"""When a replica goes out, for how long, and what brings it back."""

from __future__ import annotations

import pytest

from modelhall.gateway.health import (
    BAD_ANSWERS,
    FORGIVEN_AFTER_S,
    LONGEST_OUT_S,
    Evidence,
    Health,
    after_answer,
    after_check,
    after_failure,
)

WELL = Health()


def _failed(health: Health, evidence: Evidence, now: float = 100.0, *, last: bool = False) -> Health:
    return after_failure(health, evidence, "why", now, last=last)


@pytest.mark.parametrize("evidence", [Evidence.GONE, Evidence.SLOW])
def test_one_silence_or_broken_connection_is_enough(evidence):
    health = _failed(WELL, evidence)
    assert (health.out, health.reason, health.until) == (True, "why", 101.0)


def test_only_bad_answers_in_a_row_put_a_replica_out():
    health = WELL
    for _ in range(BAD_ANSWERS - 1):
        health = _failed(health, Evidence.BAD)
    assert not health.out
    assert _failed(health, Evidence.BAD).out
    assert not _failed(after_answer(health), Evidence.BAD).out


def test_the_last_replica_goes_out_only_when_it_is_gone():
    assert not _failed(WELL, Evidence.SLOW, last=True).out
    assert _failed(WELL, Evidence.GONE, last=True).out
    health = WELL
    for _ in range(10):
        health = _failed(health, Evidence.BAD, last=True)
    assert not health.out


def test_a_check_brings_it_back_when_its_time_is_over():
    health = _failed(WELL, Evidence.GONE)
    assert after_check(health, 100.9).out
    assert not after_check(health, 101.0).out


def test_an_answer_alone_does_not_bring_it_back():
    assert after_answer(_failed(WELL, Evidence.GONE)).out


def test_failures_while_it_is_out_do_not_prolong_its_time():
    health = _failed(WELL, Evidence.GONE)
    assert _failed(health, Evidence.GONE, 100.5).until == health.until


def test_each_time_out_is_longer_up_to_a_limit():
    health, now, times = WELL, 100.0, []
    for _ in range(8):
        health = _failed(health, Evidence.GONE, now)
        times.append(health.until - now)
        now = health.until
        health = after_check(health, now)
    assert times == [1, 2, 4, 8, 16, 30, 30, 30]
    assert max(times) == LONGEST_OUT_S


def test_a_replica_that_stayed_in_is_forgiven():
    health = after_check(_failed(WELL, Evidence.GONE, 100.0), 101.0)
    again = after_check(_failed(health, Evidence.GONE, 110.0), 112.0)
    assert _failed(again, Evidence.GONE, 113.0).until == 117.0
    later = 112.0 + FORGIVEN_AFTER_S + 1
    assert _failed(again, Evidence.GONE, later).until == later + 1


def test_nothing_changes_when_all_is_well():
    assert after_answer(WELL) is WELL
    assert after_check(WELL, 5.0) is WELL


def test_one_that_is_out_and_answers_its_checks_can_be_a_last_resort_until_it_fails_again():
    health = _failed(_failed(WELL, Evidence.GONE), Evidence.GONE)
    assert not health.answers
    health = after_check(health, now=100.5)
    assert health.out
    assert health.answers
    assert not _failed(health, Evidence.GONE).answers
