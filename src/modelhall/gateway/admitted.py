"""A request that was let in: what is reserved for it, and what it is charged when it is over, whatever came of it.

Nobody is charged more than was reserved for him, so that callers who come at once cannot overspend.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from modelhall.core.kinds.limits import Measure
from modelhall.core.ports.clock import Clock
from modelhall.gateway.messages import CLIENT_CLOSED, Headers
from modelhall.gateway.purses import Taken
from modelhall.gateway.record import Record
from modelhall.gateway.terms import Terms
from modelhall.policy.pricing import Tokens, charge_nano
from modelhall.policy.purse import Purse


class Admitted:
    """Settles once."""

    __slots__ = ("_clock", "_most", "_taken", "_terms")

    def __init__(self, terms: Terms, most: Tokens, taken: Sequence[Taken], clock: Clock) -> None:
        """`most` are the tokens that it may take, and `taken` what is reserved for it."""
        self._terms = terms
        self._most = most
        self._taken = taken
        self._clock = clock

    def settle(self, record: Record) -> int:
        """The request is over: give back what it did not take, and return what it is charged, in billionths."""
        tokens = self._tokens(record)
        charge = self._charge(record, tokens)
        used: dict[Measure, int] = {
            "requests": 1, "tokens": 0 if record.from_cache else tokens.all, "money": charge,
        }  # fmt: skip
        for purse, amount in self._taken:
            purse.settle(amount, used[purse.limit.measure])
        self._taken = ()
        return charge

    def headers(self) -> Headers:
        """How much is left, in the field's words: of the limit that has the smallest part left, for each measure."""
        now = self._clock.now()
        told: Headers = ()
        for measure in ("requests", "tokens"):
            purses = [taken.purse for taken in self._taken if taken.purse.limit.measure == measure]
            if purses:
                told += limit_headers(min(purses, key=lambda purse: _part_left(purse, now)), now)
        return told

    def _tokens(self, record: Record) -> Tokens:
        """What it took; the most that it may have taken where it costs by tokens and nothing is said of them."""
        if record.tokens_in is None and self._terms.by_tokens and 0 < record.status < HTTPStatus.BAD_REQUEST:
            return self._most
        return Tokens(record.tokens_in or 0, record.tokens_out or 0, record.tokens_cached or 0)

    def _charge(self, record: Record, tokens: Tokens) -> int:
        """Who leaves pays for what he was told, and so does whom a replica leaves; for what failed nobody pays."""
        answered = 0 < record.status < HTTPStatus.BAD_REQUEST or record.status == CLIENT_CLOSED
        if not answered and not tokens.told:
            return 0
        price = self._terms.price
        charge = charge_nano(price, tokens, from_cache=record.from_cache)
        return min(charge, charge_nano(price, self._most))


def limit_headers(purse: Purse, now: float) -> Headers:
    """What is left of one limit, as the OpenAI API tells it."""
    measure = purse.limit.measure.encode()
    return (
        (b"x-ratelimit-limit-" + measure, b"%d" % purse.limit.pot.amount),
        (b"x-ratelimit-remaining-" + measure, b"%d" % purse.remaining(now)),
        (b"x-ratelimit-reset-" + measure, b"%.3fs" % purse.full_s(now)),
    )


def _part_left(purse: Purse, now: float) -> float:
    return purse.remaining(now) / purse.limit.pot.amount
