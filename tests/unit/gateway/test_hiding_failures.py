"""Hedging, standing by, stalling, going on elsewhere, and a budget for all that."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from stand_ins import Seen, answering, breaking, eventually, request, silently, well

from modelhall.core.access import Identity
from modelhall.gateway.forward import Call, forward
from modelhall.gateway.messages import Request, Response
from modelhall.gateway.record import Record

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORDS = ["Once", " upon", " a", " time"]


def telling(words: list[str], then: str = "", after: int = 99):
    """A replica that tells these words as events, and after some of them breaks off, or falls silent."""

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for place, word in enumerate(words):
            if place == after:
                await writer.drain()
                if then == "break":
                    writer.transport.abort()
                await asyncio.Event().wait()
            end = "stop" if place == len(words) - 1 else None
            event = {"id": f"of {id(words)}", "choices": [{"text": word, "finish_reason": end}]}
            _write(writer, b"data: " + json.dumps(event).encode() + b"\n\n")
            await asyncio.sleep(0)
        _write(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")

    return behave


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


class Stories:
    """A protocol whose answers can be gone on with."""

    def __init__(self, hall) -> None:
        self._hall = hall

    async def answer(self, request: Request, who: Identity, record: Record) -> Response:
        route = self._hall.gateway.routes.find("default", "digits")
        record.service, record.metered = route.key, True
        call = Call(route=route, line=b"POST /v1/completions HTTP/1.1\r\n", resumable=True)
        return await forward(call, request, record, asyncio.get_running_loop().time)


async def _story(hall) -> tuple[str, bytes]:
    hall.gateway.protocols[b"v1"] = Stories(hall)
    caller = await hall.caller()
    caller.send(request("/v1/completions", b'{"prompt": "x", "stream": true}'))
    body = (await caller.answer()).body
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    assert len({event["id"] for event in events}) <= 1
    return "".join(event["choices"][0]["text"] for event in events), body


@pytest.mark.parametrize("then", ["break", "fall silent"])
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_replica_that_fails_in_the_middle_of_a_story_does_not_end_it(hall, then, after):
    bad, good = await hall.serving(
        telling(WORDS, then, after), telling(list(WORDS)), stall_timeout_s=0.2, balance="round-robin"
    )
    for _ in range(2):
        text, body = await _story(hall)
        assert text == "Once upon a time"
        assert body.count(b"[DONE]") == 1
    await eventually(lambda: len(hall.usage) == 2)
    assert {usage.replica for usage in hall.usage} == {"r1"}
    assert bad.seen
    assert len(good.seen) == 2


async def test_a_story_that_another_replica_tells_differently_ends_where_it_broke(hall):
    await hall.serving(telling(WORDS, "break", 2), telling(["Twice", " upon"]), balance="round-robin")
    told = await asyncio.gather(_story(hall), _story(hall), return_exceptions=True)
    assert any(isinstance(one, asyncio.IncompleteReadError) for one in told)


async def test_a_story_that_breaks_every_replica_is_not_begun_for_ever(hall):
    replicas = await hall.serving(*[telling(WORDS, "break", 2)] * 6, retries=2)
    with pytest.raises(asyncio.IncompleteReadError):
        await _story(hall)
    assert sum(len(replica.seen) for replica in replicas) == 3


async def test_a_slow_replica_is_asked_together_with_another_where_that_is_wanted(hall):
    slow, _ = await hall.serving(silently, well, hedge_s=0.05, try_timeout_s=5.0, balance="round-robin")
    for _ in range(4):
        assert (await hall.ask()).status == 200
    assert {usage.replica for usage in hall.usage} == {"r1"}
    assert max(usage.duration_s for usage in hall.usage) < 5.0
    await eventually(lambda: slow.gone == len(slow.seen))


async def test_a_quick_replica_is_asked_alone(hall):
    replicas = await hall.serving(well, well, hedge_s=5.0)
    for _ in range(4):
        assert (await hall.ask()).status == 200
    assert sum(len(replica.seen) for replica in replicas) == 4


async def test_when_both_of_two_fail_a_third_answers(hall):
    replicas = await hall.serving(breaking, breaking, well, hedge_s=0.05, balance="round-robin")
    assert (await hall.ask()).status == 200
    assert len(replicas[2].seen) == 1


async def test_a_replica_that_stands_by_is_asked_as_soon_as_another_fails(hall):
    first, standby = await hall.serving(well, well, replicas=1, standby=1)
    for _ in range(3):
        assert (await hall.ask()).status == 200
    assert standby.seen == []
    first.die()
    for _ in range(3):
        assert (await hall.ask()).status == 200
    assert len(standby.seen) == 3


async def test_a_service_in_trouble_is_not_asked_ever_more(hall):
    replicas = await hall.serving(
        *[answering("503 Service Unavailable")] * 4, retries=3, retry_budget=0.0, balance="round-robin"
    )
    hall.gateway.routes.find("default", "digits").budget._left = 2
    answers = [await hall.ask() for _ in range(3)]
    assert {answer.status for answer in answers} == {503}
    assert sum(len(replica.seen) for replica in replicas) == 3 + 2


async def test_requests_on_their_way_to_a_replica_that_is_replaced_are_answered_by_it(hall):
    ready = asyncio.Event()

    async def late(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await ready.wait()
        await well(seen, writer)

    old = await hall.replica("old", behave=late)
    new = await hall.replica("new")
    await hall.declare(old)
    asking = [asyncio.ensure_future(hall.ask()) for _ in range(5)]
    await eventually(lambda: len(old.seen) == 5)
    await hall.declare(new)
    assert (await hall.ask()).status == 200
    ready.set()
    assert [answer.status for answer in await asyncio.gather(*asking)] == [200] * 5
    assert (len(old.seen), len(new.seen)) == (5, 1)


async def test_callers_with_the_same_prompt_come_to_the_same_replica(hall):
    replicas = await hall.serving(well, well, well, balance="prefix-affinity")
    prompts = [bytes([letter]) * 3000 for letter in b"abc"]
    for _ in range(4):
        for prompt in prompts:
            assert (await hall.ask(body=prompt)).status == 200
    for replica in replicas:
        assert len({seen.body for seen in replica.seen}) == 1


async def test_when_all_are_out_one_that_answers_its_checks_is_asked_before_its_time(hall):
    replicas = await hall.serving(breaking, breaking, queue_timeout_s=5.0)
    await hall.ask()
    route = hall.gateway.routes.find("default", "digits")
    for endpoint in route.endpoints:
        endpoint.health = replace(endpoint.health, out=True, until=endpoint._loop.time() + 1000)
        endpoint.healthy = False
    for replica in replicas:
        replica.behave = well
    assert (await hall.ask()).status == 200
    assert route.healthy == 0
