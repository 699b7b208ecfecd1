"""Services whose number of replicas follows what is asked: requests are held while there is none, and told of."""

from __future__ import annotations

import asyncio

import pytest
from stand_ins import eventually, request, silently

from modelhall.gateway import tries

pytestmark = pytest.mark.anyio

RESTS = {"min": 0, "max": 2, "target": 4, "hold_s": 30}


async def load(hall):
    (report,) = await hall.traffic.reports()
    return report.services.get("service/default/digits")


async def test_a_request_to_a_service_that_rests_is_held_told_of_and_answered_when_there_is_a_replica(hall):
    await hall.declare(replicas=RESTS, queue_timeout_s=0.01)
    assert (await hall.ask("/v2/models/digits/ready", b"", method="GET")).status == 200
    asked = asyncio.ensure_future(hall.ask())
    async with asyncio.timeout(10):
        while (found := await load(hall)) is None or not found.waiting:
            await asyncio.sleep(0.01)
    assert found.waiting == 1
    assert found.concurrency > 0
    await hall.declare(await hall.replica("r0"), replicas=RESTS)
    assert (await asked).status == 200


async def test_it_is_held_no_longer_than_was_said(hall):
    await hall.declare(replicas={**RESTS, "hold_s": 0.05})
    answer = await hall.ask()
    assert answer.status == 503
    assert "retry-after" in answer.headers


async def test_no_more_are_held_than_there_is_room_for(hall, monkeypatch):
    monkeypatch.setattr(tries, "MOST_WAITING", 2)
    await hall.declare(replicas=RESTS)
    held = [asyncio.ensure_future(hall.ask()) for _ in range(2)]
    route = hall.gateway.routes.find("default", "digits")
    await eventually(lambda: route.waiting == 2)
    assert (await hall.ask()).status == 503
    await hall.declare(await hall.replica("r0"), replicas=RESTS)
    assert {answer.status for answer in await asyncio.gather(*held)} == {200}


async def test_a_caller_who_goes_away_waits_no_more(hall):
    await hall.declare(replicas=RESTS)
    caller = await hall.caller()
    caller.send(request())
    route = hall.gateway.routes.find("default", "digits")
    await eventually(lambda: route.waiting == 1)
    caller.abort()
    await eventually(lambda: route.waiting == 0)


async def test_what_a_replica_that_is_to_go_is_still_at_is_told(hall):
    replica = await hall.replica("r0", behave=silently)
    other = await hall.replica("r1")
    await hall.declare(replica, replicas=1, try_timeout_s=60)
    caller = await hall.caller()
    caller.send(request())
    await eventually(lambda: replica.seen)
    await hall.declare(other)
    assert (await hall.ask()).status == 200
    pulse = hall.gateway._pulse
    pulse.sample()
    assert pulse.report().services["service/default/digits"].in_flight == {"r0": 1}
    caller.abort()
    await eventually(lambda: replica.gone)
    pulse.sample()
    assert pulse.report().services == {}
