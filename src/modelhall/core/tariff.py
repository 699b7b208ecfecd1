"""What electricity costs at some hours, as an operator declares it."""

from __future__ import annotations

from datetime import UTC, datetime, time, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from modelhall.core.kinds.base import Frozen

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Tariff(Frozen):
    """A price that holds from one time of day until another, past midnight if that is not later."""

    begins: time
    ends: time
    days: tuple[Day, ...] = DAYS
    """On which it begins."""
    price_per_kwh: float = Field(ge=0)

    def holds(self, at: datetime) -> bool:
        """Whether it is the price at `at`, which is in its own time zone."""
        clock, today, yesterday = at.time(), DAYS[at.weekday()], DAYS[at.weekday() - 1]
        if self.begins < self.ends:
            return self.begins <= clock < self.ends and today in self.days
        if clock >= self.begins:
            return today in self.days
        return clock < self.ends and yesterday in self.days


def zone(name: str) -> tzinfo:
    """The time zone of that name; raises ValueError when there is none."""
    if name == "UTC":
        return UTC  # known also where the machine has no table of zones
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("it is no time zone such as Europe/Amsterdam") from None
