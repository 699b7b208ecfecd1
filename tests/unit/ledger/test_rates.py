"""Prices, and the division of money."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelhall.ledger.rates import Rates, Share, price, split

SHARES = st.lists(st.floats(0, 1e12), min_size=1, max_size=50)


def test_a_processor_hour_and_a_kilowatt_hour_cost_what_the_list_says() -> None:
    rates = Rates(currency="EUR", price_per_cpu_hour=0.03, price_per_kwh=0.30, co2_g_per_kwh=400, pue=1.5)
    (hour,) = price([Share(cpu_s=3600, energy_j=0, rates=rates)])
    assert hour.cost_nano == 30_000_000
    assert hour.co2_g == 0
    (kwh,) = price([Share(cpu_s=0, energy_j=3.6e6, rates=rates)])
    assert kwh.cost_nano == 450_000_000, "a kilowatt hour at the machine is 1.5 at the building's meter"
    assert kwh.co2_g == pytest.approx(600)


def test_prices_may_be_zero() -> None:
    rates = Rates(currency="EUR", price_per_cpu_hour=0, price_per_kwh=0, co2_g_per_kwh=0, pue=1)
    assert price([Share(1, 1, rates), Share(2, 2, rates, gpu_s=3600)]) == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pue": 0.9},
        {"price_per_kwh": -1},
        {"price_per_cpu_hour": float("nan")},
        {"price_per_gpu_hour": -1},
        {"gpu_prices": {"L4": float("nan")}},
        {"currency": "€"},
        {"currency": "EUROS"},
    ],
)
def test_prices_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    right = {"currency": "EUR", "price_per_cpu_hour": 1, "price_per_kwh": 1, "co2_g_per_kwh": 1, "pue": 1}
    with pytest.raises(ValidationError):
        Rates.model_validate({**right, **wrong})


@given(amount=st.integers(0, 10**18), shares=SHARES)
def test_the_parts_of_an_amount_sum_to_it_exactly(amount: int, shares: list[float]) -> None:
    parts = split(amount, shares)
    assert sum(parts) == amount
    assert all(part >= 0 for part in parts)


@given(amount=st.integers(0, 10**12), shares=SHARES)
def test_no_part_is_more_than_one_unit_off_its_share(amount: int, shares: list[float]) -> None:
    whole = sum(shares)
    for part, share in zip(split(amount, shares), shares, strict=True):
        fair = amount * share / whole if whole else amount / len(shares)
        assert abs(part - fair) < 1 + 1e-3


def test_the_largest_remainder_gets_the_unit_that_is_left() -> None:
    assert split(10, [1, 1, 1.1]) == [3, 3, 4]
    assert split(1, [0.4, 0.6]) == [0, 1]
    assert split(2, [1, 1, 1]) == [1, 1, 0], "the earlier wins a tie"
    assert split(0, []) == []
