"""The response cache as callers meet it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from stand_ins import VERSION, Seen, answering, eventually, http, request, well

from modelhall.adapters.cache.memory import MemoryCache
from modelhall.core.errors import NotNow
from modelhall.core.kinds import Project
from modelhall.core.kinds.limits import NANO
from modelhall.core.kinds.project import ProjectResource, ProjectStatus
from modelhall.gateway import answers

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
CACHE = {"ttl_s": 60}
STREAM = [b'data: {"n": %d}\n\n: 10 %d 0.%d\n\n' % (n, n, n) for n in (1, 2, 3)] + [b"data: [DONE]\n\n"]


async def counts(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with a number that nobody was told before."""
    counts.told += 1  # type: ignore[attr-defined]
    usage = b'"usage": {"prompt_tokens": 10, "completion_tokens": 20, "compute_s": 0.5}'
    writer.write(http(b'{"told": %d, %b}' % (counts.told, usage), "content-type: application/json"))  # type: ignore[attr-defined]


counts.told = 0  # type: ignore[attr-defined]


async def streams(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for event in STREAM:
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
    writer.write(b"0\r\n\r\n")


async def ask(hall, *headers: str, path: str = CHAT, **more: Any):
    body = {"model": "digits", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, **more}
    return await hall.ask(path, json.dumps(body).encode(), *headers)


def state(answer) -> str | None:
    return answer.headers.get("x-hall-cache")


async def test_what_was_answered_before_is_answered_again_without_a_replica(hall):
    (replica,) = await hall.serving(counts, cache=CACHE)
    first, second = [await ask(hall) for _ in range(2)]
    assert (state(first), state(second)) == ("miss", "hit")
    assert first.body == second.body
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(replica.seen) == 1


async def test_a_kept_answer_is_metered_as_such(hall):
    await hall.serving(counts, cache=CACHE, price={"request": 1, "million_out": 1e6, "cached": 0.1})
    for _ in range(2):
        await ask(hall, max_tokens=50)
    told, kept = hall.usage
    assert (told.from_cache, kept.from_cache) == (False, True)
    assert (kept.tokens_in, kept.tokens_out) == (told.tokens_in, told.tokens_out) == (10, 20)
    assert (kept.weight, kept.replica, kept.version) == (0.0, "", VERSION)
    assert (told.charge_nano, kept.charge_nano) == (21 * NANO, 2.1 * NANO)


async def test_it_is_the_same_however_it_is_written(hall):
    (replica,) = await hall.serving(counts, cache=CACHE)
    await ask(hall, max_tokens=5, user="anna")
    turned = b'{ "max_tokens":5,"temperature": 0, "user":"bob", "messages":[{"content":"hi","role":"user"}], '
    assert state(await hall.ask(CHAT, turned + b'"model":"digits"}')) == "hit"
    assert len(replica.seen) == 1


@pytest.mark.parametrize(
    "other",
    [{"max_tokens": 6}, {"messages": []}, {"stop": "x"}, {"stream": True}, {"seed": 3}, {"model": "default.digits"}],
    ids=repr,
)  # fmt: skip
async def test_whoever_asks_for_something_else_is_answered_anew(hall, other):
    (replica,) = await hall.serving(counts, cache=CACHE)
    await ask(hall)
    assert state(await ask(hall, **other)) == "miss"
    assert (
        state(await hall.ask("/v1/completions", json.dumps({"model": "digits", "seed": 1}).encode()))
        == "miss"
    )
    assert len(replica.seen) == 3


@pytest.mark.parametrize("drawn", [{"temperature": 0.7}, {"temperature": None}, {"temperature": 1}])
async def test_what_comes_out_differently_each_time_is_kept_only_where_that_is_asked_for(hall, drawn):
    (replica,) = await hall.serving(counts, cache=CACHE)
    assert [state(await ask(hall, **drawn)) for _ in range(2)] == [None, None]
    assert [state(await ask(hall, **drawn, seed=7)) for _ in range(2)] == ["miss", "hit"]
    await hall.declare(replica, cache={**CACHE, "all": True})
    assert [state(await ask(hall, **drawn)) for _ in range(2)] == ["miss", "hit"]


async def test_without_a_word_of_it_nothing_is_kept(hall):
    (replica,) = await hall.serving(counts)
    assert [state(await ask(hall)) for _ in range(2)] == [None, None]
    assert len(replica.seen) == 2


async def test_another_version_of_the_model_answers_anew(hall):
    (replica,) = await hall.serving(counts, cache=CACHE)
    await ask(hall)
    replica.version = "b" * 8
    resource = await hall.store.get(hall_key(hall))
    await hall.put(resource.with_status(version="b" * 8, replicas=(replica.replica,)))
    assert state(await ask(hall)) == "miss"
    assert state(await ask(hall)) == "hit"
    assert len(replica.seen) == 2


def hall_key(hall):
    return next(iter(hall.gateway.routes)).key


async def test_no_project_is_answered_what_another_one_was(hall):
    mine, other = [await hall.replica(name, behave=counts) for name in "ab"]
    await hall.declare(mine, cache=CACHE)
    await hall.declare(other, cache=CACHE, project="other")
    await hall.put(
        ProjectResource(
            document=Project(name="other"), status=ProjectStatus(), uid="o", created_at=0.0, updated_at=0.0
        )
    )
    said = request(CHAT, b'{"model": "digits", "temperature": 0}')
    bodies = []
    for data in (said, said.replace(b"alpha", b"beta")):
        caller = await hall.caller()
        caller.send(data)
        bodies.append((await caller.answer()).body)
    assert bodies[0] != bodies[1]
    assert (len(mine.seen), len(other.seen)) == (1, 1)


async def test_a_stream_is_told_again_as_a_stream(hall):
    (replica,) = await hall.serving(streams, cache=CACHE)
    first, second = [await ask(hall, stream=True) for _ in range(2)]
    assert (state(first), state(second)) == ("miss", "hit")
    assert first.body == second.body == b"".join(STREAM)
    assert second.headers["transfer-encoding"] == "chunked"
    assert second.headers["content-type"] == "text/event-stream"
    assert len(replica.seen) == 1
    assert [usage.tokens_out for usage in hall.usage] == [3, 3]


async def test_a_stream_that_nobody_heard_to_its_end_is_not_kept(hall):
    async def half(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(http(STREAM[0], "content-type: text/event-stream"))

    (replica,) = await hall.serving(half, cache=CACHE, retries=0)
    for _ in range(2):
        caller = await hall.caller()
        caller.send(request(CHAT, b'{"model": "digits", "temperature": 0, "stream": true}'))
        await caller.ended()
    assert len(replica.seen) == 2


@pytest.mark.parametrize("status", ["400 Bad", "500 Broken", "201 Made"])
async def test_what_went_wrong_is_not_kept(hall, status):
    (replica,) = await hall.serving(answering(status), cache=CACHE)
    for _ in range(2):
        await ask(hall)
    assert len(replica.seen) == 2


async def test_what_is_too_large_is_passed_on_and_not_kept(hall):
    (replica,) = await hall.serving(answering("200 OK", b"x" * 3000), cache={**CACHE, "most_kib": 2})
    assert [len((await ask(hall)).body) for _ in range(2)] == [3000, 3000]
    assert len(replica.seen) == 2


async def test_of_equal_requests_at_once_one_is_asked(hall):
    go_on = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await counts(seen, writer)

    (replica,) = await hall.serving(slowly, cache=CACHE, try_timeout_s=30)
    asking = [asyncio.ensure_future(ask(hall)) for _ in range(20)]
    await eventually(lambda: hall.gateway.metrics.in_flight == 20)
    go_on.set()
    found = await asyncio.gather(*asking)
    assert len({answer.body for answer in found}) == 1
    assert len(replica.seen) == 1
    assert sorted(map(state, found)) == ["hit"] * 19 + ["miss"]


async def test_when_the_one_that_was_asked_goes_away_the_others_are_answered(hall):
    go_on = asyncio.Event()

    async def slowly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await counts(seen, writer)

    (replica,) = await hall.serving(slowly, cache=CACHE, try_timeout_s=30)
    first = await hall.caller()
    body = {"model": "digits", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
    first.send(request(CHAT, json.dumps(body).encode()))
    await eventually(lambda: replica.seen)
    others = [asyncio.ensure_future(ask(hall)) for _ in range(3)]
    await eventually(lambda: hall.gateway.metrics.in_flight == 4)
    first.abort()
    await eventually(lambda: len(replica.seen) > 1)
    go_on.set()
    assert [answer.status for answer in await asyncio.gather(*others)] == [200] * 3


async def test_a_caller_may_have_it_anew_or_not_kept(hall):
    (replica,) = await hall.serving(counts, cache=CACHE)
    assert state(await ask(hall, "cache-control: no-store")) is None
    first = await ask(hall)
    anew = await ask(hall, "cache-control: no-cache")
    assert (state(anew), anew.body == first.body) == ("miss", False)
    assert (await ask(hall)).body == anew.body
    assert len(replica.seen) == 3


async def test_answers_of_classifiers_are_kept_too(hall):
    (replica,) = await hall.serving(well, cache=CACHE)
    assert [state(await hall.ask()) for _ in range(2)] == ["miss", "hit"]
    assert state(await hall.ask("/v2/models/digits/infer", b"\x00raw bytes")) == "miss"
    assert state(await hall.ask("/v2/models/digits/infer", b"\x00raw bytes")) == "hit"
    assert len(replica.seen) == 2


async def test_a_version_that_is_asked_for_has_answers_of_its_own(hall):
    (replica,) = await hall.serving(well, cache=CACHE)
    await hall.ask()
    path = f"/v2/models/digits/versions/{VERSION[:4]}/infer"
    assert [state(await hall.ask(path)) for _ in range(2)] == ["miss", "hit"]
    assert len(replica.seen) == 2


class Hung(MemoryCache):
    """A cache whose server does not answer."""

    asked = 0

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        await asyncio.Event().wait()
        return None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        await asyncio.Event().wait()


class Gone(Hung):
    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        raise NotNow("gone", delay_s=1.0)

    put = get  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Hung, Gone])
async def test_a_cache_that_hangs_or_dies_fails_nobody_and_is_left_alone(gateway_with, monkeypatch, kind):
    monkeypatch.setattr(answers, "FIRST_LEFT_ALONE_S", 3600.0)
    cache = kind(2**20, lambda: 0.0)
    hall = gateway_with(cache=cache)
    await hall.start()
    try:
        await hall.serving(counts, cache=CACHE)
        assert [(await ask(hall)).status for _ in range(20)] == [200] * 20
        assert cache.asked == 1
        metrics = await hall.metrics()
        assert 'cache_lookups_total{service="default/digits",outcome="unreached"} 20' in metrics
    finally:
        await hall.stop()


async def test_hits_and_sizes_are_measured(hall):
    await hall.serving(counts, cache=CACHE)
    for _ in range(3):
        await ask(hall)
    metrics = await hall.metrics()
    assert 'cache_lookups_total{service="default/digits",outcome="miss"} 1' in metrics
    assert 'cache_lookups_total{service="default/digits",outcome="hit"} 2' in metrics
    (size,) = [line for line in metrics.splitlines() if line.startswith("modelhall_gateway_cache_bytes")]
    assert int(size.split()[1]) > 0
