"""Requirements, and how a missed one is told."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelhall.core.requirement import parse, unmet

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
