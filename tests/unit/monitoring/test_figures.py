"""Which figures can be true, and what they grow by."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.measures import MEASURES, measure
from modelhall.core.ports.meter import Energy, Use
from modelhall.core.ports.sensor import Figure
from modelhall.monitoring.drawn import Drawn, power
from modelhall.monitoring.filling import EVERY_S, Filling
from modelhall.monitoring.growth import Growth
from modelhall.monitoring.sifting import credible

NODE = "node/default/n1"


def told(name: str, value: float, part: str = "", **more: bool) -> Figure:
    return Figure(name=name, value=value, part=part, source="test", **more)


@pytest.mark.parametrize(
    "wrong",
    [
        told("memory_bytes", math.nan), told("memory_bytes", math.inf), told("memory_bytes", -1),
        told("memory_bytes", 1e30), told("gpu_used_share", 1.5), told("temperature_c", 1000), told("mood", 1),
        told("memory_bytes", "1"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_is_left_out_and_counted(wrong: Figure) -> None:
    right = [told("cpus", 2), told("temperature_c", -5)]
    assert credible("node", [*right, wrong]) == (right, 1)


def test_of_two_figures_of_one_name_the_first_counts() -> None:
    assert credible("node", [told("cpus", 2), told("cpus", 3)]) == ([told("cpus", 2)], 1)


def test_every_counter_has_a_rate_that_is_a_measure_of_its_own() -> None:
    for one in MEASURES:
        if one.is_counter:
            rate = measure(one.of, one.rate)
            assert rate is not None
            assert not rate.is_counter
        assert len([other for other in MEASURES if (other.of, other.name) == (one.of, one.name)]) == 1


def test_a_counter_has_a_rate_from_the_second_look_on() -> None:
    growth = Growth()
    assert growth.of(NODE, [told("cpu_s", 100), told("cpus", 4)], at=10) == []
    assert growth.of(NODE, [told("cpu_s", 105), told("cpus", 4)], at=20) == [told("cpus_used", 0.5)]


def test_a_counter_that_went_back_begins_anew() -> None:
    growth = Growth()
    for at, value, rates in [(0, 50, []), (10, 5, []), (20, 25, [told("cpus_used", 2)])]:
        assert growth.of(NODE, [told("cpu_s", value)], at=at) == rates


@pytest.mark.parametrize("at", [10.0, 10.01, 5.0])
def test_without_time_in_between_there_is_no_rate(at: float) -> None:
    growth = Growth()
    growth.of(NODE, [told("cpu_s", 1)], at=10)
    assert growth.of(NODE, [told("cpu_s", 2)], at=at) == []


def test_a_rate_beyond_what_can_be_is_left_out() -> None:
    growth = Growth()
    growth.of(NODE, [told("energy_j", 0, "package-0")], at=0)
    assert growth.of(NODE, [told("energy_j", 1e12, "package-0")], at=10) == []


@given(steps=st.lists(st.tuples(st.floats(-1e3, 1e9), st.floats(-10, 1e6)), max_size=20))
def test_rates_are_finite_and_never_negative_whatever_is_counted(steps: list[tuple[float, float]]) -> None:
    growth, at = Growth(), 0.0
    for value, span_s in steps:
        at += span_s
        for rate in growth.of(NODE, [told("disk_read_bytes", value)], at):
            assert math.isfinite(rate.value)
            assert rate.value >= 0


class TenWatts:
    """A meter that says ten joules for a second of work, and one for a second of a processor held."""

    def energy(self, use: Use) -> Energy:
        return Energy(energy_j=10 * use.cpu_s + use.span_s * use.cpus, measured=False, source="ten watts")


def test_a_node_without_a_sensor_draws_what_the_model_says_and_that_is_said() -> None:
    drawn = Drawn("n1", TenWatts())
    for at, cpu_s in [(0.0, 7.0), (10.0, 9.0)]:
        figures = drawn.complete([told("cpus", 2), told("cpu_s", cpu_s)], at)
        total = drawn.total(figures, at)
    assert (total.energy_j, total.measured, total.source) == (2 * 10 + 10 * 2, False, "ten watts")


def test_where_processors_are_measured_no_model_is_asked() -> None:
    drawn = Drawn("n1", TenWatts())
    for at, joules in [(0.0, 100.0), (10.0, 150.0)]:
        package = told("energy_j", joules, "package-0")
        figures = drawn.complete([told("cpus", 2), told("cpu_s", at), package], at)
        total = drawn.total(figures, at)
    assert (total.energy_j, total.measured, total.source) == (50.0, True, "test")


def test_a_node_with_measured_gpus_and_modelled_processors_is_an_estimate_from_both() -> None:
    drawn = Drawn("n1", TenWatts())
    for at in (0.0, 10.0):
        figures = drawn.complete([told("cpus", 1), told("cpu_s", 0), told("energy_j", 5 * at, "gpu0")], at)
        total = drawn.total(figures, at)
    assert (total.energy_j, total.measured, total.source) == (50.0 + 10.0, False, "ten watts + test")


def test_a_sensor_that_vanishes_takes_nothing_back_and_comes_back_where_it_is() -> None:
    drawn = Drawn("n1", TenWatts())
    both = lambda a, b: [told("energy_j", a, "package-0"), told("energy_j", b, "package-1")]  # noqa: E731
    totals = [
        drawn.total(figures, 10.0 * at).energy_j
        for at, figures in enumerate(
            (
                both(0, 0),
                both(10, 10),
                both(20, 20)[:1],
                both(30, 30),
                both(1, 40),
                both(1e15, 40),
                both(1e15, 50),
            )
        )
    ]
    assert totals == [0, 20, 30, 60, 70, 70, 80], "and one that leaps has not drawn it"


def test_the_power_of_a_node_is_one_figure() -> None:
    rates = [
        told("power_w", 20, "package-0"),
        told("power_w", 5, "gpu0", measured=False),
        told("cpus_used", 1),
    ]
    assert power(rates) == [told("cpus_used", 1), told("power_w", 25, measured=False)]
    assert power([told("cpus_used", 1)]) == [told("cpus_used", 1)]


def test_a_disk_that_fills_evenly_is_full_when_the_line_says() -> None:
    filling = Filling()
    for number in range(20):
        left_s = filling.left_s(1000.0 + 5 * number, 2000.0, at=EVERY_S * number)
    assert left_s == pytest.approx((2000 - 1095) / 0.5)


@pytest.mark.parametrize("grows", [0.0, -5.0, 1e-6])
def test_a_disk_that_does_not_fill_within_months_has_no_end_told(grows: float) -> None:
    filling = Filling()
    assert [filling.left_s(1e6 + grows * n, 2e6, at=EVERY_S * n) for n in range(20)] == [None] * 20
