"""What every meter promises. Every adapter found is tested."""

from __future__ import annotations

import importlib
import pkgutil
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.adapters import meter as meters
from modelhall.adapters.meter.cpu_time import CpuTimeMeter
from modelhall.core.errors import Rejected
from modelhall.core.ports.meter import Meter, Use

ADAPTERS = [module.name for module in pkgutil.iter_modules(meters.__path__)]

USES = st.builds(
    Use, node=st.just("n1"), cpu_s=st.floats(0, 1e6), span_s=st.floats(0, 1e6), cpus=st.floats(0, 4096)
)


@pytest.fixture(params=ADAPTERS, scope="module")
def meter(request: pytest.FixtureRequest) -> Meter:
    return importlib.import_module(f"{meters.__name__}.{request.param}").open_meter()


@given(use=USES)
def test_energy_is_a_finite_figure_with_a_source(meter: Meter, use: Use) -> None:
    energy = meter.energy(use)
    assert isfinite(energy.energy_j)
    assert 0 <= energy.idle_j <= energy.energy_j
    assert energy.source


def test_nothing_used_is_no_energy(meter: Meter) -> None:
    assert meter.energy(Use(node="n1", cpu_s=0)).energy_j == 0


@given(use=USES)
def test_holding_processors_without_using_them_is_all_idle(meter: Meter, use: Use) -> None:
    held = meter.energy(Use(node=use.node, cpu_s=0, span_s=use.span_s, cpus=use.cpus))
    assert held.energy_j == held.idle_j


@given(use=USES)
def test_without_processors_held_there_is_no_idle_part(meter: Meter, use: Use) -> None:
    assert meter.energy(Use(node=use.node, cpu_s=use.cpu_s, span_s=use.span_s, cpus=0)).idle_j == 0


def test_the_cpu_time_model_says_that_it_estimates_and_by_what() -> None:
    energy = CpuTimeMeter(busy_w=9.5, idle_w=3.0).energy(Use(node="n1", cpu_s=1))
    assert not energy.measured
    assert energy.source == "cpu-time model: 9.5 W per busy processor, 3 W per idle one held"


def test_the_cpu_time_model_charges_a_busy_processor_its_busy_power_held_or_not() -> None:
    meter = CpuTimeMeter(busy_w=10, idle_w=4)
    assert meter.energy(Use(node="n1", cpu_s=60, span_s=60, cpus=1)).energy_j == 600
    assert meter.energy(Use(node="n1", cpu_s=60, span_s=60, cpus=0)).energy_j == 600


def test_the_cpu_time_model_charges_a_held_processor_its_idle_power() -> None:
    energy = CpuTimeMeter(busy_w=10, idle_w=4).energy(Use(node="n1", cpu_s=0, span_s=60, cpus=2))
    assert energy.energy_j == energy.idle_j == 480


@given(first=USES, second=USES)
def test_the_cpu_time_model_does_not_depend_on_how_often_it_is_asked(first: Use, second: Use) -> None:
    meter = CpuTimeMeter()
    both = Use(
        node="n1", cpu_s=first.cpu_s + second.cpu_s, span_s=first.span_s + second.span_s, cpus=first.cpus
    )
    apart = [
        meter.energy(Use(node="n1", cpu_s=use.cpu_s, span_s=use.span_s, cpus=first.cpus)).energy_j
        for use in (first, second)
    ]
    assert sum(apart) == pytest.approx(meter.energy(both).energy_j, rel=1e-9)


@pytest.mark.parametrize(("busy_w", "idle_w"), [(1, 2), (-1, -2), (float("nan"), 0), (float("inf"), 0)])
def test_powers_that_cannot_be_are_refused(busy_w: float, idle_w: float) -> None:
    with pytest.raises(Rejected, match="idle"):
        CpuTimeMeter(busy_w=busy_w, idle_w=idle_w)
