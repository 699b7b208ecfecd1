"""The terms on which somebody may use a service: the limits he comes under, and what he pays.

Worked out from documents as the store has them (`policy/pots.py`, `policy/pricing.py`), and kept until one changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from modelhall.core.access import Identity
from modelhall.core.kinds import AnyResource, Key, Service
from modelhall.core.kinds.base import DEFAULT_PROJECT
from modelhall.core.kinds.limits import Measure, Price
from modelhall.gateway.purses import Want
from modelhall.policy.pots import (
    Limit,
    left_of_month_s,
    limits_of_each,
    project_limits,
    service_limits,
    token_limits,
)
from modelhall.policy.pricing import Tokens, at_least, charge_nano

MOST = 8192
"""Callers of services that are remembered."""
TOKEN = "token "
"""How what an identity has shown is called, before the token's project and name."""


class Terms(NamedTuple):
    """Of one caller at one service."""

    service: Service
    limits: tuple[Limit, ...]
    price: Price
    is_free: bool
    by_tokens: bool
    """Whether the price is."""
    wants: tuple[Want, ...] | None
    """What every request may use, where that does not depend on what it asks for."""
    are_none: bool
    """Whether nothing is limited, and nothing costs anything."""
    until: float
    """When the month is over, and another budget begins."""


def wants_of(limits: Iterable[Limit], most: Tokens, price: Price) -> tuple[Want, ...]:
    """What a request that takes at most so many tokens may use of each limit; none of those it does not touch."""
    amounts: dict[Measure, int] = {
        "requests": 1, "tokens": most.all, "money": charge_nano(price, most),
    }  # fmt: skip
    return tuple(Want(limit, amounts[limit.measure]) for limit in limits if amounts[limit.measure])


class TermsBook:
    """All terms there are: a follower of the store tells it of projects and tokens."""

    kinds = frozenset({"project", "token"})

    def __init__(self, least: Price) -> None:
        """`least` are the hall's prices."""
        self._least = least
        self._documents: dict[Key, AnyResource] = {}
        self._found: dict[tuple[str, str, str], Terms] = {}

    def start(self, resources: Iterable[AnyResource]) -> None:
        self._documents = {resource.key: resource for resource in resources}
        self._found.clear()

    def take_in(self, key: Key, resource: AnyResource | None) -> None:
        if resource is None:
            self._documents.pop(key, None)
        else:
            self._documents[key] = resource
        self._found.clear()

    def of(self, service: Service, who: Identity, at: float) -> Terms:
        """Those of a caller at an instant, in seconds since the epoch."""
        caller = who.token or who.name
        place = (service.project, service.name, caller)
        terms = self._found.get(place)
        if terms is None or terms.service is not service or at >= terms.until:
            if len(self._found) >= MOST:
                self._found.clear()
            terms = self._found[place] = self._worked_out(service, caller, at)
        return terms

    def _worked_out(self, service: Service, caller: str, at: float) -> Terms:
        limits = service_limits(service) + limits_of_each(service, caller)
        if caller.startswith(TOKEN):
            home, _, name = caller.removeprefix(TOKEN).partition("/")
            if token := self._documents.get(Key("token", home, name)):
                limits += token_limits(token.document)
        if project := self._documents.get(Key("project", DEFAULT_PROJECT, service.project)):
            limits += project_limits(project.document, at)
        price = at_least(service.price, self._least)
        by_tokens = price.million_in > 0 or price.million_out > 0
        is_free = not by_tokens and not price.request
        depends = by_tokens or any(limit.measure == "tokens" for limit in limits)
        return Terms(
            service=service,
            limits=tuple(limits),
            price=price,
            is_free=is_free,
            by_tokens=by_tokens,
            wants=None if depends else wants_of(limits, Tokens(0, 0), price),
            are_none=is_free and not limits,
            until=at + left_of_month_s(at),
        )
