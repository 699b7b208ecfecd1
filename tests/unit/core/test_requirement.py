"""Requirements, and how a missed one is told."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelhall.core.requirement import kept, lost, parse, unmet

SIGNS = st.sampled_from([">=", "<=", ">", "<"])
FIGURES = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("text", "sign", "bound"),
    [
        (">= 0.85", ">=", 0.85), ("<1", "<", 1.0), ("  >  .5 ", ">", 0.5), ("<= -2e-3", "<=", -0.002),
        (">=+1.", ">=", 1.0),
    ],
)  # fmt: skip
def test_a_comparison_with_a_number_is_a_requirement(text: str, sign: str, bound: float) -> None:
    wanted = parse(text)
    assert (wanted.sign, wanted.bound) == (sign, bound)


@pytest.mark.parametrize(
    "text", ["", "0.85", "=> 1", "== 1", ">= x", ">= 1 2", ">=", "> = 1", ">= nan", ">= inf", "1 <"]
)
def test_nothing_else_is_a_requirement(text: str) -> None:
    with pytest.raises(ValueError, match="not a requirement"):
        parse(text)


def test_what_is_met_is_not_mentioned_and_what_is_not_is_told_in_order() -> None:
    require = {"f1": ">= 0.9", "accuracy": ">= 0.85", "loss": "< 0.5", "recall": "> 0.1"}
    metrics = {"accuracy": 0.81, "f1": 0.9, "loss": 0.5}
    assert unmet(require, metrics) == ["accuracy 0.81 < 0.85", "loss 0.5 >= 0.5", "recall was not measured"]


def test_not_a_number_meets_nothing() -> None:
    for sign in (">=", "<=", ">", "<"):
        assert unmet({"loss": f"{sign} 0"}, {"loss": math.nan})


@given(SIGNS, FIGURES, FIGURES)
@example(">=", 0.95, 0.949996)
@example(">", 1e-7, 1e-8)
@example("<", 0.5, 0.5)
@example("<=", 1e30, 1.0000001e30)
def test_a_missed_requirement_is_told_in_figures_that_show_it(sign: str, bound: float, value: float) -> None:
    said = unmet({"m": f"{sign} {bound!r}"}, {"m": value})
    assert (said == []) == parse(f"{sign} {bound!r}").met_by(value)
    if said:
        found = re.fullmatch(r"m (\S+) (>=|<=|<|>) (\S+)", said[0])
        assert found is not None
        assert parse(f"{found[2]} {found[3]}").met_by(float(found[1])), said[0]


def test_a_slice_is_required_by_its_value_and_all_by_their_column() -> None:
    metrics = {"accuracy": 0.9, "accuracy[sex=f]": 0.7, "accuracy[sex=m]": 0.95, "accuracy[age=old]": 0.1}
    assert unmet({"accuracy[sex=m]": ">= 0.9"}, metrics) == []
    assert unmet({"accuracy[sex]": ">= 0.8", "accuracy": "> 0.8"}, metrics) == ["accuracy[sex=f] 0.7 < 0.8"]
    assert unmet({"accuracy[town]": ">= 0.8"}, metrics) == ["accuracy[town] was not measured"]


@pytest.mark.parametrize(
    ("text", "was", "now", "share"),
    [
        (">= 0.9", 0.9, 0.81, 0.9),
        (">= 0.9", 0.9, 0.95, 1.0),
        ("<= 0.5", 0.1, 0.2, 0.5),
        ("<= 0.5", 0.2, 0.1, 1.0),
        (">= -2", -1.0, -1.5, 0.5),
        ("<= 2", -1.0, -0.5, 0.5),
        (">= 0", 0.0, -0.1, 0.0),
        ("<= 1", 0.0, 0.1, 0.0),
    ],
)
def test_what_is_left_of_a_metric_is_a_share_whichever_way_is_better(
    text: str, was: float, now: float, share: float
) -> None:
    found = kept({"m": text}, {"m": was}, {"m": now})["m"]
    assert found == pytest.approx(share)


def test_what_is_lost_is_told_for_every_slice_and_with_figures() -> None:
    require = {"accuracy": ">= 0.5", "accuracy[sex]": ">= 0.5"}
    before = {"accuracy": 0.9, "accuracy[sex=f]": 0.9, "accuracy[sex=m]": 0.8, "loss": 1.0}
    after = {"accuracy": 0.9, "accuracy[sex=f]": 0.6, "accuracy[sex=m]": 0.8, "loss": 9.0}
    assert lost(require, before, after, 0.99) == ["accuracy[sex=f] went from 0.9 to 0.6, 66.67% of 99.00%"]
    assert lost(require, before, {**after, "accuracy[sex=f]": float("nan")}, 0.99) != []
    assert lost({"accuracy": ">= 0"}, before, {}, 0.9) == ["accuracy was not measured"]
