"""A bill for a spreadsheet, one row a line, without the total, which a spreadsheet makes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = (
    "name", "requests", "cpu_seconds", "gpu_seconds", "joules", "measured", "grams_co2e", "cents", "currency",
)  # fmt: skip


def rows(bill: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A row for each line of a bill, as `app/accounts.py` gives it."""
    for line in bill["lines"]:
        yield {
            "name": line["name"],
            "requests": line["requests"],
            "cpu_seconds": line["cpu_s"],
            "gpu_seconds": line["gpu_s"],
            "joules": line["energy_j"],
            "measured": line["measured"],
            "grams_co2e": line["co2_g"],
            "cents": line["cost_nano"] / 1e7,
            "currency": bill["currency"],
        }
