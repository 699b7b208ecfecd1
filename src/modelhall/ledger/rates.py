"""What use costs: one price list, and the formula.

    facility joules = energy_j · PUE
    grams of CO2e   = facility joules / 3.6e6 · co2_g_per_kwh
    money           = cpu_s / 3600 · price_per_cpu_hour  +  facility joules / 3.6e6 · price_per_kwh

Joules are kept as they are at the machine, so that they can be held against a sensor there; what cooling and
distribution add is in the grams and the money. Money is rounded once, here, to a whole billionth.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple

from pydantic import Field

from modelhall.core.kinds.base import Frozen

JOULES_PER_KWH = 3.6e6
NANO = 10**9


class Rates(Frozen):
    """The prices of one hall, all in its one currency."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")
    price_per_cpu_hour: float = Field(ge=0, description="For an hour of processor time used.")
    price_per_kwh: float = Field(ge=0, description="For a kilowatt hour at the building's meter.")
    co2_g_per_kwh: float = Field(ge=0, description="Grams of CO2e for such a kilowatt hour.")
    pue: float = Field(ge=1, description="Watts the building draws for a watt of its machines.")


class Share(NamedTuple):
    """One payer's share of a use."""

    cpu_s: float
    energy_j: float
    """At the machine."""


class Price(NamedTuple):
    co2_g: float
    cost_nano: int


def price(rates: Rates, shares: Sequence[Share]) -> list[Price]:
    """What each share of one use costs. The money sums exactly to the price of the whole, rounded once."""
    whole = Share(fsum(share.cpu_s for share in shares), fsum(share.energy_j for share in shares))
    nanos = split(round(_cost(rates, whole) * NANO), [_cost(rates, share) for share in shares])
    return [
        Price(_kwh(rates, share) * rates.co2_g_per_kwh, nano)
        for share, nano in zip(shares, nanos, strict=True)
    ]


def split(amount: int, shares: Sequence[float]) -> list[int]:
    """Divide a whole `amount` in proportion to `shares` (none negative), so that the parts sum to it exactly.

    By the method of largest remainders; the earlier part wins a tie. Equal parts when all shares are 0.
    """
    largest = max(shares, default=0.0)
    # As whole numbers, so that no part of the amount is lost to the rounding of floats.
    weights = [round(share / largest * 2**53) for share in shares] if largest else [1] * len(shares)
    whole = sum(weights)
    parts = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(shares)), key=lambda i: -(amount * weights[i] % whole))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def _cost(rates: Rates, share: Share) -> float:
    return share.cpu_s / 3600 * rates.price_per_cpu_hour + _kwh(rates, share) * rates.price_per_kwh


def _kwh(rates: Rates, share: Share) -> float:
    return share.energy_j * rates.pue / JOULES_PER_KWH
