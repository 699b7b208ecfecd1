"""What callers may use and what they pay, as a service, a project and a token declare it: limits, budget, prices.

How a limit is kept is `policy/purse.py`'s and `adapters/treasury/`'s; here is how one is written.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from modelhall.core.kinds.base import Frozen

NANO = 10**9
"""Money is counted in billionths of the hall's currency, as whole numbers."""
MOST = 10**12
MOST_MONEY = 10**9
PERIODS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

Measure = Literal["requests", "tokens", "money"]

_RATE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*/\s*([a-z]+)\s*")


class Rate(NamedTuple):
    """`60/minute` taken apart."""

    amount: Decimal
    period: str


def parse_rate(text: str) -> Rate:
    """Read `60/minute`; raises ValueError when it is not so many for a period."""
    match = _RATE.fullmatch(text)
    if match is None or match[2] not in PERIODS_S:
        raise ValueError(
            f"{text!r} is not a rate: write a number and {', '.join(PERIODS_S)}, such as '60/minute'"
        )
    amount = Decimal(match[1])
    if not 0 < amount <= MOST:
        raise ValueError(
            f"a rate is more than 0 and at most {MOST}, not {amount}; to keep all out, take roles away"
        )
    return Rate(amount, match[2])


def _check_count(text: str) -> str:
    amount = parse_rate(text).amount
    if amount != int(amount):
        raise ValueError(f"{text!r} has a fraction; requests and tokens are whole")
    return text


def _check_money(text: str) -> str:
    if parse_rate(text).amount > MOST_MONEY:
        raise ValueError(f"{text!r} is more than {MOST_MONEY}; leave it out to have no limit")
    return text


def _as_several(value: Any) -> Any:
    """Hall files have lists, which are no tuples where types are strict."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_AS_WRITTEN = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
Counts = Annotated[
    tuple[Annotated[str, AfterValidator(_check_count)], ...], BeforeValidator(_as_several), _AS_WRITTEN
]
Moneys = Annotated[
    tuple[Annotated[str, AfterValidator(_check_money)], ...], BeforeValidator(_as_several), _AS_WRITTEN
]


class Limits(Frozen):
    """The most that may be asked for; each is one rate or several, which all hold."""

    requests: Counts = Field(default=(), description="Requests, such as 60/minute.")
    tokens: Counts = Field(default=(), description="Tokens read and told, such as 100000/hour.")
    money: Moneys = Field(default=(), description="In the hall's currency, such as 5/day.")


class ServiceLimits(Limits):
    """Of all callers of a service together, and of each."""

    each: Limits = Field(default_factory=Limits, description="Of every token by itself.")


def _check_budget(text: str) -> str:
    amount, _, period = text.partition("/")
    if period.strip() != "month" or not re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", amount):
        raise ValueError(f"{text!r} is not a budget: write money for a month, such as '100/month'")
    return text


Budget = Annotated[str, AfterValidator(_check_budget)]


def budget_nano(budget: str) -> int:
    """A budget of a month in billionths."""
    return int(Decimal(budget.partition("/")[0].strip()) * NANO)


class Price(Frozen):
    """What a request is charged, in the hall's currency."""

    request: float = Field(default=0.0, ge=0, le=1e6, description="For a request that is answered.")
    million_in: float = Field(default=0.0, ge=0, le=1e6, description="For a million tokens read.")
    million_out: float = Field(default=0.0, ge=0, le=1e6, description="For a million tokens told.")
    cached: float = Field(
        default=1.0, ge=0, le=1, description="The part of it that is charged for what comes from a cache."
    )


class Caching(Frozen):
    """Answers of a service that are kept to be given again."""

    ttl_s: float = Field(default=3600.0, gt=0, le=30 * 86_400, description="For how long.")
    most_kib: int = Field(default=1024, ge=1, le=65_536, description="Larger answers are not kept.")
    all: bool = Field(
        default=False, description="Also answers that could come out differently if asked for again."
    )
