"""When a new release is held to be worse than the one before."""

from __future__ import annotations

import random
from bisect import bisect_left
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.kinds.rollout import Canary
from modelhall.core.ports.traffic import BUCKETS_S, Tally
from modelhall.policy import trial

COUNTS = st.integers(0, 60)


def tally(answers: int, failures: int = 0, wait_s: float = 0.01) -> Tally:
    waits = [0] * (bisect_left(BUCKETS_S, wait_s) + 1)
    waits[-1] = answers
    return Tally(trial="t", release="r", answers=answers, failures=failures, waits=tuple(waits))


@given(new=COUNTS, good=COUNTS, old=COUNTS, old_good=COUNTS)
def test_chance_is_that_of_fishers_exact_test(new: int, good: int, old: int, old_good: int) -> None:
    of_new, of_old, marked = new + good, old + old_good, new + old
    ways = sum(
        comb(marked, k) * comb(of_new + of_old - marked, of_new - k)
        for k in range(new, min(marked, of_new) + 1)
    )
    exact = ways / comb(of_new + of_old, of_new)
    more_than_its_part = new * (of_new + of_old) > of_new * marked
    assert trial.chance(new, of_new, old, of_old) == pytest.approx(exact if more_than_its_part else 1.0)


def test_millions_of_requests_are_compared_too() -> None:
    assert trial.chance(1_200, 1_000_000, 19_000, 19_000_000) < 1e-6
    assert trial.chance(1_001, 1_000_000, 19_000, 19_000_000) > 0.1


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (tally(70, 30), tally(1900), "30.00% of its requests failed, and 0.00% before"),
        (tally(100, wait_s=0.1), tally(1900), "95 % of its answers began within"),
        (tally(99, 1), tally(1900), ""),  # as allowed
        (tally(97, 3), tally(80, 20), ""),  # better
        (tally(100, wait_s=0.011), tally(1900), ""),  # a little slower is allowed
        (tally(3, 1), tally(6), ""),  # may be chance
        (tally(0), tally(0), ""),
    ],
)
def test_worse_is_what_is_beyond_the_allowed_and_hardly_chance(new: Tally, old: Tally, said: str) -> None:
    found = trial.worse(new, old, Canary(), 1)
    assert found.startswith(said) if said else found == ""


def test_what_is_not_asked_for_is_not_compared() -> None:
    anything_goes = Canary(errors=None, latency=None)
    assert trial.worse(tally(0, 100, wait_s=60), tally(1000), anything_goes, 1) == ""


def test_few_releases_that_do_as_well_are_sent_back_however_often_they_are_looked_at() -> None:
    dice, sent_back, trials = random.Random(4), 0, 400
    for _ in range(trials):
        new, old = [0, 0], [0, 0]
        for look in range(1, 6):
            for side, more in ((new, 50 * 2**look), (old, 500 * 2**look)):
                failed = sum(dice.random() < 0.02 for _ in range(more // 10)) if more else 0
                side[0], side[1] = side[0] + failed, side[1] + more // 10
            found = trial.worse(
                tally(new[1] - new[0], new[0]), tally(old[1] - old[0], old[0]), Canary(errors=0.001), look
            )
            if found:
                sent_back += 1
                break
    assert sent_back <= 2 * trial.ALPHA * trials


def test_the_percentile_is_the_bound_within_which_95_percent_are() -> None:
    fast, slow = tally(95, wait_s=0.01), tally(5, wait_s=1.0)
    assert trial.percentile_s(fast + slow) == pytest.approx(0.01, rel=0.2)
    assert trial.percentile_s(fast + slow + slow) == pytest.approx(1.0, rel=0.2)
    assert trial.percentile_s(tally(0)) == 0.0
