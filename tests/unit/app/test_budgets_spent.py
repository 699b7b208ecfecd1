"""What share of its budget a project has used this month."""

from __future__ import annotations

import asyncio

from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.treasury.memory import MemoryTreasury
from modelhall.app.allowances import Allowances
from modelhall.core.kinds import Project, ProjectResource, ProjectStatus
from modelhall.core.ports.store import Put
from modelhall.policy.pots import project_limits

NOW = 1_700_000_000.0


def test_a_project_tells_how_much_of_its_budget_is_used_and_one_without_a_budget_nothing() -> None:
    asked = Project(name="asked", budget="100/month", limits={"requests": "60/minute"})
    free, nothing = Project(name="free"), Project(name="nothing", budget="0/month")
    (pot,) = [limit.pot for limit in project_limits(asked, NOW) if limit.is_budget]

    async def story() -> dict[str, float]:
        store, treasury = MemoryStore(), MemoryTreasury()
        await store.commit([
            Put(resource=ProjectResource(
                uid=one.name, document=one, status=ProjectStatus(), created_at=NOW, updated_at=NOW
            ))
            for one in (asked, free, nothing)
        ])  # fmt: skip
        await treasury.draw("gateway-1", pot, pot.amount // 4, NOW)
        spent = await Allowances(store, treasury, lambda: NOW).spent()
        return {key.name: share for key, share in spent.items()}

    assert asyncio.run(story()) == {"asked": 0.25, "nothing": 1.0}
