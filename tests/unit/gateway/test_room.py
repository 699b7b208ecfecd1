"""What callers can make the gateway hold, all of them together."""

from __future__ import annotations

import json

import pytest
from stand_ins import Caller, request, silently, well

pytestmark = pytest.mark.anyio

WHOLE = 90_000


@pytest.fixture
def held(hall) -> int:
    """So much the gateway under test holds for all callers together."""
    return hall.server._limits.held_bytes


async def begun(hall, size: int) -> Caller:
    """A caller who has sent all of his body but the last byte."""
    caller = await hall.caller()
    caller.send(request(body=b"x" * size)[:-1])
    return caller


async def settled(hall, left: int) -> bool:
    """Whether in the end there is room for so much."""
    for _ in range(1000):
        if hall.server._room.left_bytes == left:
            return True
        await hall.metrics()
    return False


async def test_a_body_that_there_is_no_room_for_is_to_come_again_later(hall, held):
    (replica,) = await hall.serving(well)
    holding = [await begun(hall, WHOLE) for _ in range(held // WHOLE)]
    assert await settled(hall, held - len(holding) * (WHOLE - 1))
    answer = await hall.ask(body=b"x" * WHOLE)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert replica.seen == []
    for caller in holding:
        caller.send(b"x")
        assert (await caller.answer()).status == 200
    assert (await hall.ask(body=b"x" * WHOLE)).status == 200
    assert await settled(hall, held)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_the_room_of_a_caller_who_goes_away_is_free_again(hall, held, how):
    await hall.serving(silently, try_timeout_s=60)
    caller = await begun(hall, WHOLE)
    assert await settled(hall, held - WHOLE + 1)
    caller.send(b"x" + request(body=b"y" * 1000))
    assert await settled(hall, held - WHOLE - 1000)
    getattr(caller, how)()
    assert await settled(hall, held)


async def test_what_is_refused_in_the_middle_holds_nothing(hall, held):
    await hall.serving(well)
    caller = await hall.caller()
    head = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: h\r\nauthorization: Bearer alpha\r\n"
    caller.send(head + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n")
    answer = await caller.answer()
    assert (answer.status, json.loads(answer.body).keys()) == (400, {"error"})
    assert await settled(hall, held)
