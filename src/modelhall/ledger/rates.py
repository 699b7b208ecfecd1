"""What use costs: one price list, and the formula.

    facility joules = energy_j · PUE
    grams of CO2e   = facility joules / 3.6e6 · co2_g_per_kwh
    money           = cpu_s / 3600 · price_per_cpu_hour  +  gpu_s / 3600 · price_per_gpu_hour
                      +  facility joules / 3.6e6 · price_per_kwh

Processor time is paid for as it is used, GPUs as they are held: while one run has a GPU no other can.

Prices and carbon may differ by time (`tariffs.py`): each share pays what held while it was used. Joules are kept as
they are at the machine, so that they can be held against a sensor there; what cooling and distribution add is in the
grams and the money. Money is rounded once, here, to a whole billionth.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import Annotated, NamedTuple

from pydantic import Field

from modelhall.core.kinds.base import Frozen
from modelhall.ledger.tariffs import Carbon, Tariffs

JOULES_PER_KWH = 3.6e6
NANO = 10**9


class Rates(Frozen):
    """The prices of one hall, all in its one currency."""

    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")
    price_per_cpu_hour: float = Field(ge=0, description="For an hour of processor time used.")
    price_per_gpu_hour: float = Field(default=0.0, ge=0, description="For an hour in which a GPU is held.")
    gpu_prices: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="The same for GPUs of some types."
    )
    price_per_kwh: float = Field(ge=0, description="For a kilowatt hour at the building's meter.")
    co2_g_per_kwh: float = Field(ge=0, description="Grams of CO2e for such a kilowatt hour.")
    pue: float = Field(ge=1, description="Watts the building draws for a watt of its machines.")

    def gpu_hour(self, gpu_type: str) -> float:
        """What an hour of a GPU of this type costs."""
        return self.gpu_prices.get(gpu_type, self.price_per_gpu_hour)


class Prices:
    """What holds at any time: `rates`, but for what tariffs and carbon say of the time."""

    def __init__(self, rates: Rates, *, tariffs: Tariffs | None = None, carbon: Carbon | None = None) -> None:
        self._rates = rates
        self._tariffs = tariffs
        self._carbon = carbon

    def over(self, since: float, until: float) -> Rates:
        """The rates of what is used evenly between two instants."""
        if self._tariffs is None and self._carbon is None:
            return self._rates
        changes: dict[str, float] = {}
        if self._tariffs is not None:
            changes["price_per_kwh"] = self._tariffs.mean(since, until)
        if self._carbon is not None:
            changes["co2_g_per_kwh"] = self._carbon.mean(since, until)
        return self._rates.model_copy(update=changes)


class Share(NamedTuple):
    """One payer's share of a use."""

    cpu_s: float
    energy_j: float
    """At the machine."""
    rates: Rates
    """That hold for it."""
    gpu_s: float = 0.0
    """GPUs held, times seconds."""
    gpu_type: str = ""


class Price(NamedTuple):
    co2_g: float
    cost_nano: int


def price(shares: Sequence[Share]) -> list[Price]:
    """What each share of one use costs. The money sums exactly to the price of the whole, rounded once."""
    costs = [_cost(share) for share in shares]
    nanos = split(round(fsum(costs) * NANO), costs)
    return [
        Price(_kwh(share) * share.rates.co2_g_per_kwh, nano)
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


def _cost(share: Share) -> float:
    rates = share.rates
    held = share.gpu_s / 3600 * rates.gpu_hour(share.gpu_type)
    return share.cpu_s / 3600 * rates.price_per_cpu_hour + held + _kwh(share) * rates.price_per_kwh


def _kwh(share: Share) -> float:
    return share.energy_j * share.rates.pue / JOULES_PER_KWH
