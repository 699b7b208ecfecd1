"""Quantities as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.units import show_bytes, show_carbon, show_energy, show_money, show_seconds


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (show_bytes(0), "0 B"), (show_bytes(1023), "1023 B"), (show_bytes(1536), "1.5 KiB"),
        (show_bytes(2**30), "1.0 GiB"), (show_bytes(2**50), "1024.0 TiB"), (show_bytes(-2048), "-2.0 KiB"),
        (show_seconds(0), "0.0 s"), (show_seconds(59.9), "59.9 s"), (show_seconds(59.97), "1 min 0 s"),
        (show_seconds(95), "1 min 35 s"), (show_seconds(3599.6), "1 h 0 min"), (show_seconds(7320), "2 h 2 min"),
        (show_energy(5400), "5.40 kJ"), (show_energy(0.5), "500.00 mJ"), (show_energy(3.6e6), "3.60 MJ"),
        (show_carbon(0.0123), "12.3 mg"), (show_carbon(2), "2.00 g"), (show_carbon(1500), "1.50 kg"),
        (show_money(123_000, "EUR"), "0.0001230 EUR"), (show_money(1_500_000_000, "EUR"), "1.50 EUR"),
        (show_money(0, "EUR"), "0.0000000 EUR"),
    ],
)  # fmt: skip
def test_quantities_are_shown_in_units_of_their_size(shown: str, text: str) -> None:
    assert shown == text


@given(st.floats(min_value=0, max_value=1e15))
def test_no_quantity_is_shown_as_sixty_seconds_of_a_minute(value: float) -> None:
    assert "60 s" not in show_seconds(value)
    assert "60.0 s" not in show_seconds(value)
    assert "60 min" not in show_seconds(value)
