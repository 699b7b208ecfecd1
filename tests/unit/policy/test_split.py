"""Who comes to a new release."""

from __future__ import annotations

import pytest

from modelhall.policy.split import is_drawn

CALLERS = [f"10.0.{n // 256}.{n % 256} token default/app" for n in range(4000)]


def drawn(share: float, trial: str = "3f2a9c1d") -> set[str]:
    return {caller for caller in CALLERS if is_drawn(caller, share, trial)}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.25, 0.5, 1.0])
def test_as_many_callers_are_drawn_as_the_share_says(share: float) -> None:
    assert len(drawn(share)) == pytest.approx(share * len(CALLERS), abs=0.03 * len(CALLERS))


def test_who_has_come_to_the_new_release_stays_with_it_as_the_share_grows() -> None:
    assert drawn(0.05) < drawn(0.25) < drawn(0.5) < drawn(1.0)


def test_it_is_not_always_the_same_callers_who_try_what_is_new() -> None:
    one, other = drawn(0.1), drawn(0.1, "00aa11bb")
    assert len(one & other) < 0.3 * len(one)


def test_any_text_may_name_a_caller() -> None:
    assert is_drawn("\udce4 ☃", 1.0, "x" * 200)
