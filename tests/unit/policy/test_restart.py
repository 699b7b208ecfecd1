"""How soon what failed is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelhall.policy.restart import LONGEST_DELAY_S, STEADY_S, delay_s, failures_in_a_row

COUNTS = st.integers(min_value=0, max_value=10**9)


def test_the_first_failure_is_tried_again_at_once_and_further_ones_ever_later() -> None:
    assert [delay_s(failures) for failures in range(7)] == [0, 0, 1, 2, 4, 8, 16]


@given(COUNTS)
def test_however_often_it_failed_the_wait_is_bounded_and_never_shrinks(failures: int) -> None:
    assert 0 <= delay_s(failures) <= delay_s(failures + 1) <= LONGEST_DELAY_S


def test_a_replica_that_fails_for_weeks_is_still_tried_every_minute() -> None:
    assert delay_s(100_000) == LONGEST_DELAY_S


@given(COUNTS, st.floats(min_value=0, max_value=1e9))
def test_what_had_been_running_steadily_starts_to_count_anew(before: int, ran_s: float) -> None:
    assert failures_in_a_row(before, ran_s) == (1 if ran_s >= STEADY_S else before + 1)


@given(COUNTS)
def test_a_clock_that_was_set_back_makes_a_failure_no_steady_run(before: int) -> None:
    assert failures_in_a_row(before, -3600.0) == before + 1
