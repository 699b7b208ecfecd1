"""What keeping things costs: so much a month for a gigabyte, by what each project's blobs take once an hour.

Power that disks draw is in their node's, so an entry for keeping has money and no joules.
"""

from __future__ import annotations

from collections.abc import Mapping

from modelhall.core.kinds import Key
from modelhall.core.ports.book import Entry
from modelhall.ledger.rates import NANO

EVERY_S = 3600.0
MONTH_S = 365.25 / 12 * 86400
GB = 10**9
UNTIL = "storage/until"
"""The mark in the book: until when keeping has been paid for."""


def is_due(until: float | None, now: float) -> bool:
    """Whether to look how much is kept; `until` is the mark, None when nothing was ever paid for."""
    return until is None or now - until >= EVERY_S


def entries(
    sizes: Mapping[str, int], *, node: str, since: float, now: float, price_per_gb_month: float
) -> list[Entry]:
    """An entry for each project that keeps something on `node`. `sizes` in bytes by project."""
    months = max(0.0, now - since) / MONTH_S
    costs = {
        project: round(size / GB * months * price_per_gb_month * NANO) for project, size in sizes.items()
    }
    return [
        Entry(
            id=f"storage/{project}/{since!r}",
            at=now,
            project=project,
            debit=f"storage/{project}/blobs",
            credit=Key("node", "default", node).path,
            measured=True,
            cost_nano=cost,
        )
        for project, cost in costs.items()
        if cost
    ]
