"""The gate before the API: what is told to whom, and in which order it is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from modelhall.app.clock import SystemClock
from modelhall.core.access import Identity
from modelhall.core.errors import Denied
from modelhall.doors.api import answers, gate, guard
from modelhall.trust.firewall import firewall
from modelhall.trust.gate import Gate, Rates
from modelhall.trust.sessions import Proofs
from modelhall.trust.signals import Signal
from modelhall.trust.sites import Sites

WHO = {
    b"Bearer anna": Identity(name="user anna", project="default", token="token default/anna"),
    b"Bearer bait": Identity(name="canary default/bait", project="default"),
}


def authenticate(header: bytes | None) -> Identity:
    if header not in WHO:
        raise Denied("not you", status=401)
    return WHO[header]


class Door:
    """An API with one route behind guard and gate."""

    def __init__(self, **rates: float) -> None:
        self.heard: list[Signal] = []
        self.calls = 0
        self.api = FastAPI(docs_url=None, redoc_url=None)

        @self.api.post("/count")
        @self.api.get("/api/v1/health")
        async def count() -> int:
            self.calls += 1
            return self.calls

        answers.install(self.api)
        guard.install(self.api, lambda header: partial(authenticate, header), Proofs(b"k" * 32))
        gate.install(
            self.api,
            Gate(
                firewall=firewall("api", allow=[], deny=[]),
                sites=Sites([]),
                rates=Rates(**{"per_token": 1e6, "per_address": 1e6, **rates}),
                clock=SystemClock(),
                tell=self.heard.append,
            ),
        )

    def asked(self, tokens: Sequence[str], path: str = "/count", **headers: str) -> list[httpx.Response]:
        """One request with each of these tokens."""

        async def ask() -> list[httpx.Response]:
            transport: Any = httpx.ASGITransport(self.api)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return [
                    await client.request(
                        "POST" if path == "/count" else "GET",
                        path,
                        headers={"authorization": f"Bearer {token}", **headers},
                    )
                    for token in tokens
                ]

        return asyncio.run(ask())


def test_guesses_are_answered_401_and_then_429_with_the_time_to_wait() -> None:
    door = Door()
    answers_ = door.asked([f"guess-{n}" for n in range(20)])
    assert {answer.status_code for answer in answers_[:10]} == {401}
    last = answers_[-1]
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert last.json()["error"]["who"] == "time"
    assert {one.kind for one in door.heard} == {"unknown"}
    assert door.calls == 0


def test_a_neighbour_who_was_in_before_is_not_locked_out() -> None:
    door = Door()
    door.asked(["anna"])
    door.asked([f"guess-{n}" for n in range(20)])
    (answer,) = door.asked(["anna"])
    assert answer.status_code == 200


def test_whoever_asks_too_much_is_told_before_a_route_is_reached() -> None:
    door = Door(per_token=0.001)
    statuses = [answer.status_code for answer in door.asked(["anna"] * 5)]
    assert statuses == [200, 429, 429, 429, 429]
    assert door.calls == 1


def test_a_canary_reads_the_same_answer_as_a_token_nobody_has_and_is_told_of() -> None:
    door = Door()
    (answer,) = door.asked(["bait"])
    assert answer.status_code == 401
    assert [one.kind for one in door.heard] == ["canary"]
    assert door.calls == 0


@pytest.mark.parametrize("path", ["/count", "/api/v1/health"])
def test_a_request_for_another_host_reaches_no_path_at_all(path: str) -> None:
    door = Door()
    (answer,) = door.asked(["anna"], path, host="evil.test")
    assert answer.status_code == 421
    assert door.calls == 0


def test_a_page_of_another_site_changes_nothing_though_it_has_a_token() -> None:
    door = Door()
    (answer,) = door.asked(["anna"], origin="http://evil.test")
    assert answer.status_code == 403
    (answer,) = door.asked(["anna"], origin="http://localhost")
    assert answer.status_code == 200
    assert door.calls == 1
