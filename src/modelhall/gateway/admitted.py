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
from modelhall.policy.pots import MEASURES
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
        for purse, amount in self._taken:
            measure = purse.limit.measure
            if measure == "requests":
                purse.settle(amount, amount)
            elif measure == "money":
                purse.settle(amount, charge)
            else:
                purse.settle(amount, 0 if record.from_cache else tokens.all)
        self._taken = ()
        return charge

    def headers(self) -> Headers:
        """How much is left, in the field's words: of the limit that has the smallest part left, for each measure."""
        now = self._clock.now()
        tightest: dict[Measure, tuple[float, Purse, int]] = {}
        for purse, _ in self._taken:
            measure = purse.limit.measure
            if measure == "money":
                continue
            left = purse.remaining(now)
            part = left / purse.limit.pot.amount
            if measure not in tightest or part < tightest[measure][0]:
                tightest[measure] = part, purse, left
        told: Headers = ()
        for _, purse, left in tightest.values():
            told += limit_headers(purse, left)
        return told

    def _tokens(self, record: Record) -> Tokens:
        """What it took; the most that it may have taken where it costs by tokens and nothing is said of them."""
        if record.tokens_in is None and self._terms.by_tokens and 0 < record.status < HTTPStatus.BAD_REQUEST:
            return self._most
        return Tokens(record.tokens_in or 0, record.tokens_out or 0, record.tokens_cached or 0)

    def _charge(self, record: Record, tokens: Tokens) -> int:
        """Who leaves pays for what he was told, and so does whom a replica leaves; for what failed nobody pays."""
        if self._terms.is_free:
            return 0
        answered = 0 < record.status < HTTPStatus.BAD_REQUEST or record.status == CLIENT_CLOSED
        if not answered and not tokens.told:
            return 0
        price = self._terms.price
        charge = charge_nano(price, tokens, from_cache=record.from_cache)
        return min(charge, charge_nano(price, self._most))


def limit_headers(purse: Purse, left: int) -> Headers:
    """That so much is left of a limit, as the OpenAI API tells it."""
    of_all, remaining, reset = _NAMES[purse.limit.measure]
    pot = purse.limit.pot
    full_s = (pot.amount - left) / pot.amount * (pot.period_s or 0)
    return ((of_all, b"%d" % pot.amount), (remaining, b"%d" % left), (reset, b"%.3fs" % full_s))


_NAMES = {
    measure: tuple(f"x-ratelimit-{word}-{measure}".encode() for word in ("limit", "remaining", "reset"))
    for measure in MEASURES
}
