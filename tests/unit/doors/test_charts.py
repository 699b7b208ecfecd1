"""What is drawn: axes that people can read, curves within their field, and pictures of where a version comes from."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.ports.history import Span
from modelhall.doors.console import charts, lineage
from modelhall.doors.console.samples import sample

FINITE = st.floats(-1e12, 1e12)


@given(FINITE, FINITE)
def test_an_axis_holds_all_there_is_and_has_a_length(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    begin, end = charts.rounded(low, high)
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    assert begin <= low + slack
    assert end >= high - slack
    assert begin < end


@pytest.mark.parametrize(
    ("low", "high", "axis"),
    [(0, 4, (0, 4)), (0, 0.93, (0, 1)), (0.941, 1, (0.94, 1.02)), (3, 3, (1, 5)), (0, 0, (-0.5, 0.5))],
)
def test_its_ends_are_round_numbers(low: float, high: float, axis: tuple[float, float]) -> None:
    assert charts.rounded(low, high) == pytest.approx(axis)


@given(st.lists(st.tuples(st.integers(0, 10**6), FINITE), min_size=1, max_size=50))
def test_a_curve_stays_within_its_field(points: list[tuple[int, float]]) -> None:
    chart = charts.chart({"loss": sorted(points)})
    assert chart is not None
    places = re.findall(r"(-?[\d.]+),(-?[\d.]+)", chart.lines[0].path)
    assert len(places) == len(points)
    for x, y in places:
        assert 0 <= float(x) <= charts.WIDTH
        assert -0.01 <= float(y) <= charts.HEIGHT + 0.01


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    assert charts.chart({}) is None
    assert charts.chart({"loss": []}) is None
    assert charts.bars({}) == charts.bars({"a": 0}) == []


def test_losses_and_what_is_validated_are_drawn_apart_and_what_the_machine_does_is_not() -> None:
    names = ("loss", "validation_loss", "validation_accuracy", "samples_per_s")
    curves = {name: [(1.0, 0.5), (2.0, 0.4)] for name in names}
    drawn = charts.losses(curves), charts.validated(curves)
    assert [[line.name for line in chart.lines] for chart in drawn if chart is not None] == [
        ["loss", "validation_loss"],
        ["validation_accuracy"],
    ]


def test_an_amount_over_time_is_drawn_from_zero() -> None:
    chart = charts.over_time({"power_w": [Span(0.0, 7.0, 6.0, 8.0), Span(60.0, 7.5, 7.0, 8.0)]})
    assert chart is not None
    assert chart.low == 0


def test_the_table_beside_a_long_curve_is_short_and_ends_with_the_newest() -> None:
    chart = charts.chart({"loss": [(step, 1.0 / (step + 1)) for step in range(1000)]})
    assert chart is not None
    assert len(chart.table) <= 12
    assert chart.table[-1][0] == 999


def test_a_histogram_has_a_bar_for_each_and_the_most_fills_it() -> None:
    bars = charts.bars({"a": 1, "b": 4})
    assert [bar.height for bar in bars] == [25.0, 100.0]
    assert [bar.words for bar in bars] == ["a: 1", "b: 4"]


def test_shades_tell_none_from_a_few_and_all() -> None:
    assert [charts.heat(count, 100) for count in (0, 1, 50, 100)] == [0, 1, 5, 9]
    assert charts.heat(0, 0) == 0


def card(**version: Any) -> dict[str, Any]:
    told = {"train_run": "m-train-1", "base": None, "teacher": None, **version}
    data = {"name": "d", "version": "f" * 64, "source": "package://x/digits.csv"}
    return {"project": "default", "model": "m", "number": 2, "version": told, "data": data}


def test_a_version_is_drawn_with_all_that_it_comes_from_and_all_that_serves_it() -> None:
    drawn = lineage.picture(card(base={"source": "hf://some/base"}), ["s1", "s2"])
    names = [(box.what, box.name) for box in drawn.boxes]
    assert names == [
        ("file", "digits.csv"), ("base", "hf://some/base"), ("dataset", "d@ffffffff"), ("train", "m-train-1"),
        ("model", "m@2"), ("service", "s1"), ("service", "s2"),
    ]  # fmt: skip
    assert len(drawn.lines) == 2 + 1 + 1 + 2
    assert all(box.x + lineage.WIDTH <= drawn.width for box in drawn.boxes)
    assert all(box.y + lineage.HEIGHT <= drawn.height for box in drawn.boxes)


def test_a_source_that_is_not_known_any_more_leaves_a_gap_and_no_error() -> None:
    gone = card()
    gone["data"] = {"name": "d", "version": "f" * 64}
    assert [box.what for box in lineage.picture(gone, []).boxes] == ["dataset", "train", "model"]


@pytest.mark.parametrize(
    ("value", "sort"),
    [
        ("iVBORw0KGgoAAAA", "image"), ("/9j/4AAQ", "image"), ("UklGRiQA", "audio"), ("plain words", "text"),
        (3, "number"), (0.5, "number"), (True, "text"), (None, "text"), ([1, 2], "text"),
    ],
)  # fmt: skip
def test_a_picture_is_shown_a_sound_heard_and_all_else_read(value: Any, sort: str) -> None:
    assert sample(value).sort == sort


def test_a_long_text_is_cut() -> None:
    assert len(sample("x" * 10_000).words) < 500
