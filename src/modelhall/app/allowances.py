"""How much is used of the limits and the budget that a service, a project or a token has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelhall.core.errors import NotFound
from modelhall.core.kinds import Document, Key, Project, Service, Token
from modelhall.core.kinds.limits import NANO
from modelhall.core.ports.store import Store
from modelhall.core.ports.treasury import Treasury
from modelhall.policy.pots import Limit, left_of_month_s, project_limits, service_limits, token_limits


class Allowances:
    """Reads what gateways have drawn."""

    def __init__(self, store: Store, treasury: Treasury, now: Callable[[], float]) -> None:
        self._store = store
        self._treasury = treasury
        self._now = now

    async def used(self, key: Key) -> list[dict[str, Any]]:
        """Each limit of a resource, and how much of it is used; what gateways have in hand counts as used until they
        give it back. Raises NotFound, and NotNow when the treasury cannot be reached."""
        found = await self._store.get(key)
        if found is None:
            raise NotFound(f"no {key}")
        now = self._now()
        limits = _limits(found.document, now)
        taken = await self._treasury.taken([limit.pot for limit in limits], now)
        return [_told(limit, taken[limit.pot.name], now) for limit in limits]

    async def spent(self) -> dict[Key, float]:
        """What share of its budget each project that has one has used this month; raises NotNow like `used`."""
        now = self._now()
        budgets = {
            project.key: limit.pot
            for project in await self._store.find("project")
            for limit in _limits(project.document, now)
            if limit.is_budget
        }
        taken = await self._treasury.taken(list(budgets.values()), now) if budgets else {}
        return {key: taken[pot.name] / pot.amount if pot.amount else 1.0 for key, pot in budgets.items()}

    async def close(self) -> None:
        await self._treasury.close()


def _limits(document: Document, now: float) -> list[Limit]:
    match document:
        case Service():
            return service_limits(document)
        case Project():
            return project_limits(document, now)
        case Token():
            return token_limits(document)
    return []


def _told(limit: Limit, taken: int, now: float) -> dict[str, Any]:
    pot = limit.pot
    unit = NANO if limit.measure == "money" else 1
    full_s = left_of_month_s(now) if pot.period_s is None else taken * pot.period_s / pot.amount
    return {
        "measure": "budget" if limit.is_budget else limit.measure,
        "limit": limit.text,
        "used": taken / unit,
        "left": max(0, pot.amount - taken) / unit,
        "full_in_s": full_s,
    }
