"""The gateway behind a gate: what it is asked and told, and what callers read of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from stand_ins import request, well

from modelhall.core.errors import Rejected, TooMany

pytestmark = pytest.mark.anyio


class Told(NamedTuple):
    what: str
    who: str
    address: str


class WatchedGate:
    """Refuses what it is told to, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.refuses: Exception | None = None
        self.refuses_known: Exception | None = None

    def lets_in(self, address):
        return True

    def admit(self, address, method, headers):
        if self.refuses is not None:
            raise self.refuses

    def known(self, who, address, headers):
        self.told.append(Told("known", who.project, address))
        if self.refuses_known is not None:
            raise self.refuses_known

    def unknown(self, address, headers):
        self.told.append(Told("unknown", headers[b"authorization"].decode(), address))

    def refused(self, who, project, address):
        self.told.append(Told("refused", project, address))


@pytest.fixture
def gate(hall):
    hall.gateway.gate = WatchedGate()
    return hall.gateway.gate


async def test_the_gate_is_told_who_came_and_who_was_not_known(hall, gate):
    await hall.serving(well)
    assert (await hall.ask()).status == 200
    caller = await hall.caller()
    caller.send(request().replace(b"Bearer alpha", b"Bearer guess"))
    assert (await caller.answer()).status == 401
    assert gate.told == [Told("known", "default", "127.0.0.1"), Told("unknown", "Bearer guess", "127.0.0.1")]


async def test_the_gate_is_told_who_asks_for_what_is_another_project_s(hall, gate):
    assert (await hall.ask("/v2/models/other.secret/infer")).status == 404
    assert gate.told[-1] == Told("refused", "other", "127.0.0.1")


@pytest.mark.parametrize("path", ["/v2/models/digits/infer", "/v2/health/ready", "/nowhere"])
async def test_what_the_gate_refuses_goes_no_further(hall, gate, path):
    (replica,) = await hall.serving(well)
    gate.refuses = Rejected("another host", status=421)
    assert (await hall.ask(path)).status == 421
    assert replica.seen == []
    assert gate.told == []


async def test_a_caller_who_has_to_wait_is_told_how_long(hall, gate):
    (replica,) = await hall.serving(well)
    gate.refuses_known = TooMany("more than you may", delay_s=7.2)
    answer = await hall.ask()
    assert answer.status == 429
    assert answer.headers["retry-after"] in ("7", "8")
    assert replica.seen == []
