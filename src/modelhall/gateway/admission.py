"""Letting a request in by the limits and budgets it comes under, and settling with them when it is over.

The most that it may take is reserved before a replica is asked; what it really took is settled at the end, whatever
came of it. Nobody is charged more than was reserved for him, so that callers who come at once cannot overspend.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil

from modelhall.core.access import Identity
from modelhall.core.errors import NotNow, OverBudget, OverLimit, Rejected
from modelhall.core.kinds import Service
from modelhall.core.kinds.limits import NANO, Measure
from modelhall.core.ports.clock import Clock
from modelhall.gateway.messages import CLIENT_CLOSED, Headers, Request
from modelhall.gateway.purses import Purses, Short, Taken, Want
from modelhall.gateway.reckoning import reckon
from modelhall.gateway.record import Record
from modelhall.gateway.terms import Terms, TermsBook
from modelhall.policy.pots import Limit, left_of_month_s
from modelhall.policy.pricing import Tokens, charge_nano
from modelhall.policy.purse import Purse


class Admission:
    """What everybody passes who asks a service."""

    def __init__(self, terms: TermsBook, purses: Purses, clock: Clock) -> None:
        self._terms = terms
        self._purses = purses
        self._clock = clock

    async def let_in(
        self, service: Service, who: Identity, request: Request, body: bytes, record: Record
    ) -> Admitted | None:
        """Reserve what a request may take; None where there is nothing to keep to. The record settles it.

        Raises OverLimit, OverBudget, Rejected for what no limit has room for, and NotNow when a budget cannot be
        looked up.
        """
        terms = self._terms.of(service, who, record.at)
        if terms.are_none:
            return None
        reckoned = reckon(request.path, body, service.reply_tokens)
        most: dict[Measure, int] = {
            "requests": 1, "tokens": reckoned.most.all, "money": charge_nano(terms.price, reckoned.most),
        }  # fmt: skip
        counts_tokens = terms.is_by_tokens or request.path.startswith(b"/v1/")
        wants = [
            Want(limit, most[limit.measure])
            for limit in terms.limits
            if most[limit.measure] and (counts_tokens or limit.measure != "tokens")
        ]
        try:
            taken = await self._purses.take(wants)
        except Short as short:
            raise self._refusal(short.purse, short.amount) from None
        admitted = record.admitted = Admitted(terms, most, taken, self._clock)
        return admitted

    def _refusal(self, purse: Purse, amount: int) -> NotNow | Rejected:
        limit, now = purse.limit, self._clock.now()
        if limit.is_budget:
            return _over_budget(purse, amount, now)
        if amount > limit.pot.amount:
            return Rejected(
                f"this may take {_shown(limit, amount)}, and {limit.of} has {limit.text}; ask for less, such as by "
                "a smaller max_tokens",
                field="max_tokens" if limit.measure != "requests" else None,
            )
        delay_s = max(1.0, purse.delay_s(amount, now))
        return OverLimit(
            f"{limit.of} has {limit.measure} of {limit.text}, which are used up; ask again in {ceil(delay_s)} s",
            delay_s=delay_s,
            headers=limit_headers(purse, now) if limit.measure != "money" else (),
        )


class Admitted:
    """A request that was let in."""

    __slots__ = ("_clock", "_most", "_taken", "_terms")

    def __init__(self, terms: Terms, most: dict[Measure, int], taken: Sequence[Taken], clock: Clock) -> None:
        self._terms = terms
        self._most = most
        self._taken = taken
        self._clock = clock

    def settle(self, record: Record) -> int:
        """The request is over: give back what it did not take, and return what it is charged, in billionths."""
        used: dict[Measure, int] = {
            "requests": 1,
            "tokens": self._tokens(record),
            "money": self._charge(record),
        }
        for purse, amount in self._taken:
            purse.settle(amount, used[purse.limit.measure])
        self._taken = ()
        return used["money"]

    def headers(self) -> Headers:
        """How much is left, in the field's words: of the limit that has the smallest part left, for each measure."""
        now = self._clock.now()
        told: Headers = ()
        for measure in ("requests", "tokens"):
            purses = [taken.purse for taken in self._taken if taken.purse.limit.measure == measure]
            if purses:
                told += limit_headers(min(purses, key=lambda purse: _part_left(purse, now)), now)
        return told

    def _tokens(self, record: Record) -> int:
        if record.tokens_in is None and _is_answered(record) and self._terms.is_by_tokens:
            return self._most["tokens"]  # an answer that does not say what it took
        return 0 if record.from_cache else (record.tokens_in or 0) + (record.tokens_out or 0)

    def _charge(self, record: Record) -> int:
        if not _is_answered(record) and not record.tokens_out:
            return 0
        if record.tokens_in is None and self._terms.is_by_tokens and record.status != CLIENT_CLOSED:
            return self._most["money"]
        tokens = Tokens(record.tokens_in or 0, record.tokens_out or 0, record.tokens_cached or 0)
        charge = charge_nano(self._terms.price, tokens, from_cache=record.from_cache)
        return min(charge, self._most["money"])


def limit_headers(purse: Purse, now: float) -> Headers:
    """What is left of one limit, as the OpenAI API tells it."""
    measure = purse.limit.measure.encode()
    return (
        (b"x-ratelimit-limit-" + measure, b"%d" % purse.limit.pot.amount),
        (b"x-ratelimit-remaining-" + measure, b"%d" % purse.remaining(now)),
        (b"x-ratelimit-reset-" + measure, b"%.3fs" % purse.full_s(now)),
    )


def _over_budget(purse: Purse, amount: int, now: float) -> OverBudget:
    if amount <= purse.remaining(now) + purse.reserved:
        return OverBudget(
            f"what is left of the budget of {purse.limit.of} is reserved for requests that are on their way; "
            "ask again in 1 s",
            delay_s=1.0,
        )
    return OverBudget(
        f"this may cost {_shown(purse.limit, amount)}, and as much is not left of the budget of {purse.limit.of}, "
        f"{purse.limit.text}; the next month begins on the 1st, UTC",
        delay_s=left_of_month_s(now),
        headers=[(b"x-should-retry", b"false")],  # as clients of the OpenAI API understand
    )


def _is_answered(record: Record) -> bool:
    return 0 < record.status < HTTPStatus.BAD_REQUEST or record.status == CLIENT_CLOSED


def _part_left(purse: Purse, now: float) -> float:
    return purse.remaining(now) / purse.limit.pot.amount


def _shown(limit: Limit, amount: int) -> str:
    return f"{amount / NANO:.6g}" if limit.measure == "money" else f"{amount} {limit.measure}"
