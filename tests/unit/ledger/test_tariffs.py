"""Prices and carbon by the time of day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_facts import RATES

from modelhall.core.errors import Rejected
from modelhall.core.tariff import Tariff, zone
from modelhall.ledger.rates import Prices
from modelhall.ledger.tariffs import Carbon, Tariffs, read_carbon

NIGHT = Tariff(begins=time(22), ends=time(6), price_per_kwh=0.10)
WEEKEND = Tariff(begins=time(0), ends=time(0), days=("sat", "sun"), price_per_kwh=0.15)
HOUR_S = 3600.0


def at(text: str, tz: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz)).timestamp()


def test_the_first_tariff_that_holds_is_the_price() -> None:
    tariffs = Tariffs([NIGHT, WEEKEND], UTC, otherwise=0.30)
    for instant, price in [
        ("2026-03-04T12:00", 0.30), ("2026-03-04T21:59", 0.30), ("2026-03-04T22:00", 0.10),
        ("2026-03-05T05:59", 0.10), ("2026-03-05T06:00", 0.30), ("2026-03-07T12:00", 0.15),
        ("2026-03-08T23:00", 0.10),
    ]:  # fmt: skip
        assert tariffs.mean(at(instant), at(instant)) == price


def test_what_is_drawn_across_a_change_pays_the_mean_by_time() -> None:
    tariffs = Tariffs([NIGHT], UTC, otherwise=0.30)
    mean = tariffs.mean(at("2026-03-04T21:00"), at("2026-03-05T01:00"))
    assert mean == pytest.approx((1 * 0.30 + 3 * 0.10) / 4)


def test_hours_are_those_of_the_place_also_when_its_clocks_are_changed() -> None:
    tariffs = Tariffs([NIGHT], zone("Europe/Amsterdam"), otherwise=0.30)
    midnight = at("2026-03-29T00:00", "Europe/Amsterdam")
    # That night has no hour from two to three, so it is six hours after midnight by the clock, and five in truth.
    assert tariffs.mean(midnight, midnight + 6 * HOUR_S) == pytest.approx((5 * 0.10 + 1 * 0.30) / 6)


@given(begins=st.times(), ends=st.times(), since=st.floats(1.6e9, 1.9e9), lasts_s=st.floats(1, 3e5))
def test_a_mean_is_what_its_parts_come_to(begins: time, ends: time, since: float, lasts_s: float) -> None:
    tariffs = Tariffs([Tariff(begins=begins, ends=ends, price_per_kwh=1)], UTC, otherwise=5)
    middle, until = since + lasts_s / 3, since + lasts_s
    parts = tariffs.mean(since, middle) * (middle - since) + tariffs.mean(middle, until) * (until - middle)
    assert parts == pytest.approx(tariffs.mean(since, until) * (until - since), rel=1e-6)
    assert 1 <= tariffs.mean(since, until) <= 5


def test_carbon_is_what_the_file_says_and_the_constant_outside_of_it() -> None:
    carbon = Carbon([(0.0, 100.0), (HOUR_S, 300.0)], otherwise=400.0)
    assert carbon.mean(1, 1) == 100
    assert carbon.mean(0.5 * HOUR_S, 1.5 * HOUR_S) == pytest.approx(200)
    assert carbon.mean(2 * HOUR_S, 2 * HOUR_S) == 400
    assert carbon.mean(1.5 * HOUR_S, 2.5 * HOUR_S) == pytest.approx(350)
    assert carbon.mean(-HOUR_S, HOUR_S) == pytest.approx(250)


def test_a_file_of_carbon_is_read_line_by_line(tmp_path: Path) -> None:
    begins = datetime(2022, 1, 1, tzinfo=UTC)
    lines = [f"{(begins + timedelta(hours=hour)).isoformat()},{200 + hour}" for hour in range(48)]
    (tmp_path / "nl.csv").write_text("\n".join(["time,g_per_kwh", *lines]))
    carbon = read_carbon(tmp_path / "nl.csv", otherwise=0)
    assert carbon.mean(begins.timestamp() + 5.5 * HOUR_S, begins.timestamp() + 5.5 * HOUR_S) == 205


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time,g\nyesterday,5\n", "not 'yesterday,5'"),
        ("time,g\n2022-01-01,nan\n", "an instant and the grams"),
        ("time,g\n2022-01-01,-1\n", "an instant and the grams"),
        ("time,g\n2022-01-02,1\n2022-01-01,1\n", "in order"),
        ("time,g\n2022-01-02,1\n", "two instants"),
    ],
)
def test_a_damaged_file_of_carbon_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(Rejected, match=says):
        read_carbon(tmp_path / "bad.csv", otherwise=0)


def test_a_file_of_carbon_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"none\.csv: carbon_file: cannot be read"):
        read_carbon(tmp_path / "none.csv", otherwise=0)


def test_rates_are_those_of_the_time() -> None:
    prices = Prices(RATES, tariffs=Tariffs([NIGHT], UTC, otherwise=0.3), carbon=Carbon([], otherwise=7))
    noon, night = at("2026-03-04T12:00"), at("2026-03-04T23:00")
    assert prices.over(noon, noon).price_per_kwh == 0.3
    assert prices.over(night, night).price_per_kwh == 0.1
    assert prices.over(night, night).co2_g_per_kwh == 7
    assert prices.over(night, night).pue == RATES.pue
