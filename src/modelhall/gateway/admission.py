"""Letting a request in by the limits and budgets it comes under.

The most that it may take is reserved before a replica is asked; what becomes of that, `admitted.py` says.
"""

from __future__ import annotations

from math import ceil

from modelhall.core.access import Identity
from modelhall.core.errors import NotNow, OverBudget, OverLimit, Rejected
from modelhall.core.kinds import Service
from modelhall.core.kinds.limits import NANO
from modelhall.core.ports.clock import Clock
from modelhall.gateway.admitted import Admitted, limit_headers
from modelhall.gateway.messages import Request
from modelhall.gateway.purses import Purses, Short
from modelhall.gateway.reckoning import reckon
from modelhall.gateway.record import Record
from modelhall.gateway.terms import TermsBook, wants_of
from modelhall.policy.pots import Limit, left_of_month_s
from modelhall.policy.pricing import Tokens
from modelhall.policy.purse import Purse

TELLING = b"/v1/"
"""Answers to requests below say what tokens they took."""


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
        most, wants = Tokens(0, 0), terms.wants
        if wants is None:
            most = reckon(request.path, body, service.reply_tokens).most
            limits = terms.limits
            if not terms.by_tokens and not request.path.startswith(TELLING):
                limits = tuple(limit for limit in limits if limit.measure != "tokens")
            wants = wants_of(limits, most, terms.price)
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
            headers=limit_headers(purse, purse.remaining(now)) if limit.measure != "money" else (),
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


def _shown(limit: Limit, amount: int) -> str:
    return f"{amount / NANO:.6g}" if limit.measure == "money" else f"{amount} {limit.measure}"
