"""What the hall tells of limits and budgets, and of what is used of them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from a_hall import ask

from modelhall.adapters.treasury.sqlite import open_treasury
from modelhall.app.hall import Hall
from modelhall.core.kinds import Key
from modelhall.doors.cli.tables import limit_rows
from modelhall.policy.pots import project_limits, token_limits

PROJECT = {"kind": "project", "name": "research", "budget": "100/month", "limits": {"requests": "60/minute"}}


def test_what_gateways_have_drawn_is_told_as_used(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        await client.post("/api/v1/apply", json={"documents": [PROJECT]})
        project = await hall.store.get(Key("project", "default", "research"))
        assert project is not None
        now = hall.clock.now()
        gateways = open_treasury(tmp_path)
        for limit in project_limits(project.document, now):
            await gateways.draw("a gateway", limit.pot, limit.pot.amount // 4, now)
        await gateways.close()
        requests, budget = (await client.get("/api/v1/projects/research/limits")).json()
        assert (requests["measure"], requests["limit"]) == ("requests", "60/minute")
        assert requests["used"] + requests["left"] == 60
        assert 13 <= requests["used"] <= 15
        assert (budget["measure"], budget["used"], budget["left"]) == ("budget", 25.0, 75.0)
        assert [row[:2] for row in limit_rows([requests, budget])] == [
            ("requests", "60/minute"), ("budget", "100/month"),
        ]  # fmt: skip

    ask(tmp_path, play)


def test_a_token_is_made_with_limits(tmp_path: Path) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        asked = {"name": "ci", "role": "viewer", "limits": {"tokens": ["1000/day"]}}
        assert (await client.post("/api/v1/tokens", json=asked)).status_code == 201
        token = await hall.store.get(Key("token", "default", "ci"))
        assert token is not None
        assert [limit.pot.amount for limit in token_limits(token.document)] == [1000]
        (told,) = (await client.get("/api/v1/tokens/ci/limits")).json()
        assert (told["used"], told["left"], told["full_in_s"]) == (0, 1000, 0)
        refused = await client.post("/api/v1/tokens", json={**asked, "limits": {"tokens": ["1/year"]}})
        assert refused.status_code == 400

    ask(tmp_path, play)


@pytest.mark.parametrize(("path", "status"), [("nodes/none", 404), ("projects/none", 404), ("cats/x", 404)])
def test_of_what_is_not_there_nothing_is_told(tmp_path: Path, path: str, status: int) -> None:
    async def play(client: httpx.AsyncClient, hall: Hall) -> None:
        assert (await client.get(f"/api/v1/{path}/limits")).status_code == status

    ask(tmp_path, play)
