"""When replicas are had, and when they are given up."""

from __future__ import annotations

from modelhall.core.kinds.scaling import Lull, Scale, Scaling
from modelhall.policy.cool_down import after

SCALING = Scaling(min=1, max=8, target=1, cool_down_s=60)


def played(needs: list[tuple[float, float | None]], start: int = 1) -> list[int]:
    """How many there are after each (time, needed)."""
    scale, counts = Scale(count=start), []
    for now, needed in needs:
        scale = after(scale, needed, SCALING, now)
        counts.append(scale.count)
    return counts


def test_more_are_had_at_once_and_never_more_than_max() -> None:
    assert played([(0, 2.1), (1, 5), (2, 100)]) == [3, 5, 8]


def test_fewer_are_had_when_fewer_would_have_done_for_a_while() -> None:
    assert played([(0, 4), (1, 2), (60, 2), (61, 2)]) == [4, 4, 4, 2]


def test_of_what_was_needed_meanwhile_the_most_is_kept() -> None:
    assert played([(0, 8), (1, 2), (30, 5), (40, 1), (61, 1)]) == [8, 8, 8, 8, 5]


def test_one_moment_of_need_begins_the_wait_anew() -> None:
    assert played([(0, 4), (1, 1), (50, 4), (61, 1), (110, 1), (121, 1)]) == [4, 4, 4, 4, 4, 1]


def test_where_nobody_knows_nothing_changes() -> None:
    assert played([(0, 4), (1, None), (500, None), (501, 2)]) == [4, 4, 4, 4]


def test_never_fewer_than_min_and_other_bounds_count_at_once() -> None:
    assert played([(0, 3), (1, 0), (61, 0)]) == [3, 3, 1]
    narrower = SCALING.model_copy(update={"max": 2})
    assert after(Scale(count=5), 5, narrower, 0).count == 2
    assert after(Scale(count=5), None, narrower, 0).count == 2


def test_a_clock_that_is_set_back_does_not_make_a_lull_without_end() -> None:
    late = Scale(count=4, lull=Lull(since=1_000_000.0, most=2))
    begun = after(late, 2, SCALING, 10.0)
    assert begun.lull == Lull(since=10.0, most=2)
    assert after(begun, 2, SCALING, 70.0).count == 2


def test_a_sum_that_is_off_by_rounding_alone_costs_no_replica() -> None:
    assert after(Scale(count=1), 0.1 + 0.2 + 0.7, SCALING, 0).count == 1
