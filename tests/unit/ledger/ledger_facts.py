"""Facts to make entries of."""

from __future__ import annotations

from typing import Any

from modelhall.adapters.meter.cpu_time import CpuTimeMeter
from modelhall.core.kinds import Key
from modelhall.core.ports.book import Usage
from modelhall.ledger.rates import Prices, Rates
from modelhall.ledger.reading import Reading

METER = CpuTimeMeter(busy_w=10.0, idle_w=4.0)
RATES = Rates(
    currency="EUR", price_per_cpu_hour=0.36, price_per_gpu_hour=3.6, gpu_prices={"L4": 0.36}, price_per_kwh=0.36,
    co2_g_per_kwh=360.0, pue=1.25,
)  # fmt: skip
PRICES = Prices(RATES)
"""A processor second costs 100 000 billionths, a second of a GPU ten times as much,
a joule at the machine 125 more and 125 µg of CO2."""


def reading(**changes: Any) -> Reading:
    """A training run's first attempt, ten seconds after its start."""
    facts: dict[str, Any] = {
        "key": Key("run", "default", "train"), "uid": "u1", "attempt": 1, "node": "n1", "cpus": 0.0,
        "cpu_s": 5.0, "started_at": 100.0, "at": 110.0,
    }  # fmt: skip
    return Reading(**{**facts, **changes})


def replica(**changes: Any) -> Reading:
    """A replica of the service `digits`, ten seconds after its start."""
    facts = {"key": Key("run", "default", "digits-0"), "uid": "u2", "service": "digits"}
    return reading(**{**facts, **changes})


def request(id: str, **changes: Any) -> Usage:
    """A request that replica answered four seconds after its start, in half a second."""
    facts: dict[str, Any] = {
        "request": id, "at": 104.0, "project": "default", "service": "digits", "version": "3f2a00",
        "replica": "digits-0", "status": 200, "tries": 1, "duration_s": 0.5, "weight": 0.25,
    }  # fmt: skip
    return Usage(**{**facts, **changes})
