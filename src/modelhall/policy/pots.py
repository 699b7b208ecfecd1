"""Which limits a request comes under: of its service, its caller, and the project whose service it is.

Pure functions of documents, so that the gateway, which keeps to the limits, and the control plane, which shows what
is used of them, speak of the same pots.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from modelhall.core.kinds import Project, Service, Token
from modelhall.core.kinds.limits import NANO, PERIODS_S, Limits, Measure, budget_nano, parse_rate
from modelhall.core.ports.treasury import Pot

MEASURES: tuple[Measure, ...] = ("requests", "tokens", "money")


class Limit(NamedTuple):
    """The most there may be of one measure."""

    measure: Measure
    pot: Pot
    of: str
    """Whose it is, in words: `service bard`."""
    text: str
    """As it was written: `60/minute`."""

    @property
    def is_budget(self) -> bool:
        return self.pot.period_s is None


def service_limits(service: Service) -> list[Limit]:
    """Of all callers of a service together."""
    return _limits(f"service/{service.project}/{service.name}", f"service {service.name!r}", service.limits)


def limits_of_each(service: Service, caller: str) -> list[Limit]:
    """Of one caller of a service."""
    owner = f"service/{service.project}/{service.name}/{caller}"
    return _limits(owner, f"{caller} at service {service.name!r}", service.limits.each)


def token_limits(token: Token) -> list[Limit]:
    return _limits(f"token/{token.project}/{token.name}", f"token {token.name!r}", token.limits)


def project_limits(project: Project, at: float) -> list[Limit]:
    """Its limits, and its budget of the month that the instant `at` is in."""
    found = _limits(f"project/{project.name}", f"project {project.name!r}", project.limits)
    if project.budget is not None:
        pot = Pot(name=budget_of(project.name, at), amount=budget_nano(project.budget))
        found.append(Limit("money", pot, f"project {project.name!r}", project.budget))
    return found


def budget_of(project: str, at: float) -> str:
    """The name of the pot of a project's budget. The month is the calendar's, in UTC."""
    return f"budget/{project}/{datetime.fromtimestamp(at, UTC):%Y-%m}"


def left_of_month_s(at: float) -> float:
    """Seconds until the next month begins, in UTC."""
    today = datetime.fromtimestamp(at, UTC)
    year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp() - at


def _limits(owner: str, of: str, limits: Limits) -> list[Limit]:
    found = []
    for measure in MEASURES:
        unit = NANO if measure == "money" else 1
        for text in getattr(limits, measure):
            rate = parse_rate(text)
            # The rate is part of the name: one that was changed begins full.
            pot = Pot(
                name=f"{owner} {measure} {rate.amount}/{rate.period}",
                amount=int(rate.amount * unit),
                period_s=float(PERIODS_S[rate.period]),
            )
            found.append(Limit(measure, pot, of, text))
    return found
