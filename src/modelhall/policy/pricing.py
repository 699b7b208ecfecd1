"""What a request is charged, and the most it may come to."""

from __future__ import annotations

from typing import NamedTuple

from modelhall.core.kinds.limits import NANO, Price

MILLION = 10**6


class Tokens(NamedTuple):
    """What was read and told, or may be at most."""

    read: int
    told: int
    cached: int = 0
    """Of those that were read, as many as the replica had read before."""

    @property
    def all(self) -> int:
        return self.read + self.told


def charge_nano(price: Price, tokens: Tokens, *, from_cache: bool = False) -> int:
    """Billionths of the currency for one request, rounded once. It never falls when there are more tokens."""
    read = tokens.read - tokens.cached * (1 - price.cached)
    amount = price.request + (read * price.million_in + tokens.told * price.million_out) / MILLION
    return round(amount * (price.cached if from_cache else 1) * NANO)


def at_least(price: Price, least: Price) -> Price:
    """A service's price, which is never lower than the hall's: whoever declares services must not let himself off a
    budget that somebody else has set."""
    return price.model_copy(
        update={
            name: max(getattr(price, name), getattr(least, name))
            for name in ("request", "million_in", "million_out")
        }
    )
