"""Limits and kept answers of a real hall: declared, kept to by the gateway, and told of by the hall."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from real_hall import RealHall, image_request, until

pytestmark = pytest.mark.e2e

SERVICE = """
kind: service
name: counted
model: digits
limits: {requests: 3/day}
price: {request: 0.25, cached: 0.2}
cache: {}
"""
BUDGET = "---\nkind: project\nname: default\nbudget: 1/month\n"


@pytest.fixture
def counted(hall: RealHall) -> Iterator[RealHall]:
    applied = hall.apply(SERVICE + BUDGET, "--wait")
    assert applied.code == 0, applied.err
    yield hall
    assert hall.command("delete", "service", "counted").code == 0
    assert hall.apply("kind: project\nname: default\n").code == 0


def test_what_is_declared_is_kept_to_and_what_is_used_is_told(counted: RealHall, picture: bytes) -> None:
    hall = counted
    address = f"{hall.addresses['gateway']}/v2/models/counted/infer"
    with httpx.Client(headers={"authorization": f"Bearer {hall.token}"}, trust_env=False) as client:

        def ask() -> httpx.Response:
            return client.post(address, json=image_request(picture))

        first = until(lambda: (found := ask()).status_code == 200 and found, "the service to be known")
        second, third, refused = ask(), ask(), ask()
    assert [answer.headers["x-hall-cache"] for answer in (first, second, third)] == ["miss", "hit", "hit"]
    assert first.content == second.content == third.content
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert "3/day" in hall.command("describe", "service", "counted").out
    with hall.client as asked:
        (requests,) = asked.limits("service", "default", "counted")
        assert (requests["used"], requests["left"]) == (3, 0)
        # Given back when it lies idle; then exactly what was charged is out of the budget.
        spent = until(
            lambda: [one["used"] for one in asked.limits("project", "default", "default")] == [0.35],
            "the budget to tell what was spent",
        )
    assert spent
