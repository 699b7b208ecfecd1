"""From a caller to a replica and back."""

from __future__ import annotations

import asyncio
import json

import pytest
from stand_ins import VERSION, Seen, answering, eventually, request, well

from modelhall.core.ports.book import Unwritten

pytestmark = pytest.mark.anyio

INFER = "POST /v2/models/digits/infer HTTP/1.1"


async def test_an_answer_comes_back_as_the_replica_gave_it(hall):
    body = b'{"error": "no input", "more": [1, 2]}'
    await hall.serving(answering("400 Bad Request", body, "content-type: application/json", "x-more: y"))
    answer = await hall.ask()
    assert (answer.status, answer.body) == (400, body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-more"] == "y"


@pytest.mark.parametrize(
    ("said", "told"),
    [(b"Invalid HTTP request", "Invalid HTTP request"), (b"", "Bad Request"), (b'{"error": NaN}', '{"error": NaN}'),
     (b'{"detail": "no"}', '{"detail": "no"}'), (b"\xff", "\ufffd"), (b"x" * 5000, "x" * 1000)],
    ids=["text", "nothing", "broken json", "another shape", "no text", "long"],
)  # fmt: skip
async def test_what_a_replica_refuses_in_words_of_its_own_comes_in_the_shape_of_all_errors(hall, said, told):
    await hall.serving(answering("400 Bad Request", said, "content-type: text/html", "x-more: y"))
    answer = await hall.ask()
    assert (answer.status, answer.error) == (400, told)
    assert (answer.headers["content-type"], answer.headers["x-more"]) == ("application/json", "y")


async def test_the_replica_learns_the_request_and_not_whose_it_is(hall):
    (replica,) = await hall.serving(well)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await hall.ask(
        "/v2/models/digits/infer?x=1", b"abc", f"traceparent: {trace}", "content-type: application/json",
        "x-request-id: mine", "cookie: secret", "x-hall-evil: 1",
    )  # fmt: skip
    (seen,) = replica.seen
    assert (seen.line, seen.body) == (INFER, b"abc")
    assert seen.headers == {
        "host": replica.address,
        "x-request-id": answer.headers["x-request-id"],
        "traceparent": trace,
        "content-type": "application/json",
        "content-length": "3",
    }


async def test_what_the_replica_tells_the_hall_is_not_for_the_caller(hall):
    await hall.serving(well)
    answer = await hall.ask()
    assert [name for name in answer.headers if name.startswith("x-hall-")] == ["x-hall-version"]


async def test_every_answer_names_its_request_once(hall):
    await hall.serving(answering("200 OK", b"{}", "x-request-id: the-replicas-own"))
    answers = [await hall.ask(), await hall.ask("/v2/models/none/infer"), await hall.ask("/v2/health/live")]
    assert [a.headers["x-request-id"] for a in answers] == ["id-1", "id-2", "id-3"]


async def test_each_request_is_metered_with_the_replicas_own_account_of_it(hall):
    await hall.serving(well)
    answer = await hall.ask(body=b"12345")
    (usage,) = hall.usage
    assert usage.request == answer.headers["x-request-id"]
    assert (usage.project, usage.service, usage.version, usage.replica) == (
        "default",
        "digits",
        VERSION,
        "r0",
    )
    assert (usage.status, usage.tries, usage.weight) == (200, 1, 0.25)
    assert (usage.bytes_in, usage.bytes_out) == (5, len(answer.body))
    assert 0 < usage.duration_s < 5


@pytest.mark.parametrize("word", ["", "nan", "inf", "-1", "much"])
async def test_an_account_that_makes_no_sense_counts_as_none(hall, word):
    await hall.serving(answering("200 OK", b"{}", f"x-hall-compute-s: {word}"))
    await hall.ask()
    assert hall.usage[0].weight == 0


async def test_only_work_is_metered(hall):
    await hall.serving(well)
    for path in ("/v2", "/v2/models/digits", "/v2/models/digits/ready", "/metrics"):
        assert (await hall.ask(path, b"", method="GET")).status == 200
    assert (await hall.ask("/v2/models/none/infer")).status == 404
    assert hall.usage == []


async def test_round_robin_goes_from_replica_to_replica(hall):
    replicas = await hall.serving(well, well, well, balance="round-robin")
    for _ in range(9):
        await hall.ask()
    assert [len(replica.seen) for replica in replicas] == [3, 3, 3]


async def test_least_connections_avoids_the_busy_replica(hall):
    go_on = asyncio.Event()

    async def late_if_told(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.body == b"wait":
            await go_on.wait()
        await well(seen, writer)

    replicas = await hall.serving(late_if_told, late_if_told)
    waiting = asyncio.ensure_future(hall.ask(body=b"wait"))
    await eventually(lambda: any(replica.seen for replica in replicas))
    for _ in range(5):
        await hall.ask()
    assert sorted(len(replica.seen) for replica in replicas) == [1, 5]
    go_on.set()
    assert (await waiting).status == 200


async def test_connections_to_replicas_are_kept(hall):
    (replica,) = await hall.serving(well)
    for _ in range(5):
        assert (await hall.ask()).status == 200
    assert replica.connections <= 2  # a check may run beside a request


async def test_a_large_body_passes_both_ways(hall):
    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(40):
            writer.write(b"%x\r\n%b\r\n" % (len(seen.body), seen.body))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    await hall.serving(echo)
    answer = await hall.ask(body=bytes(range(256)) * 390)
    assert answer.body == bytes(range(256)) * 390 * 40


async def test_an_answer_without_length_ends_with_its_connection(hall):
    async def until_close(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        writer.close()

    await hall.serving(until_close)
    assert (await hall.ask()).body == b"hello"


async def test_an_interim_answer_is_not_the_answer(hall):
    async def in_two_steps(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
        await well(seen, writer)

    await hall.serving(in_two_steps)
    answer = await hall.ask()
    assert answer.status == 200
    assert "link" not in answer.headers


async def test_events_reach_the_caller_one_by_one(hall):
    told = asyncio.Event()

    async def stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n")
        writer.write(b"x-hall-compute-s: 0.5\r\n\r\n9\r\ndata: 1\n\n\r\n")
        await told.wait()
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    await hall.serving(stream)
    caller = await hall.caller()
    caller.send(request())
    await caller.reader.readuntil(b"data: 1\n\n\r\n")
    assert hall.usage == []
    told.set()
    assert await caller.reader.readuntil(b"0\r\n\r\n") == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"
    caller.send(request("/v2", b"", method="GET"))
    assert (await caller.answer()).status == 200
    assert (hall.usage[0].bytes_out, hall.usage[0].weight) == (18, 0.5)


async def test_a_stream_for_an_old_caller_ends_with_the_connection(hall):
    async def stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        writer.write(b"9\r\ndata: 1\n\n\r\n0\r\n\r\n")

    await hall.serving(stream)
    caller = await hall.caller()
    caller.send(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = await caller.reader.read()
    assert b"chunked" not in answer
    assert answer.endswith(b"\r\n\r\ndata: 1\n\n")


async def test_metrics_tell_what_happened(hall):
    await hall.serving(well, well)
    await hall.ask()
    await hall.ask("/v2/models/none/infer")
    caller = await hall.caller()
    caller.send(b"rubbish\r\n\r\n")
    await caller.answer()
    found = dict(line.rsplit(" ", 1) for line in (await hall.metrics()).splitlines() if line[0] != "#")
    name = "modelhall_gateway_"
    assert found[f'{name}requests_total{{service="default/digits",status="200"}}'] == "1"
    assert found[f'{name}requests_total{{service="",status="404"}}'] == "1"
    assert found[f'{name}requests_total{{service="",status="400"}}'] == "1"
    assert found[f'{name}request_duration_seconds_count{{service="default/digits"}}'] == "1"
    assert found[f'{name}request_duration_seconds_bucket{{service="default/digits",le="+Inf"}}'] == "1"
    assert found[f'{name}tries_total{{service="default/digits",outcome="answered"}}'] == "1"
    assert found[f'{name}replicas{{service="default/digits",state="healthy"}}'] == "2"
    assert found[f"{name}in_flight"] == "1"


async def test_what_callers_send_does_not_grow_the_metrics(hall):
    sizes = []
    for i in range(5):
        await hall.ask(f"/v2/models/made-up-{i}/infer")
        sizes.append(len((await hall.metrics()).splitlines()))
    assert sizes[1:] == [sizes[1]] * 4


async def test_usage_that_cannot_be_written_down_does_not_fail_the_request(hall, monkeypatch):
    def full(lines):
        raise Unwritten(lines, "no space left on device")

    monkeypatch.setattr(hall.gateway.outbox, "_spend", full)
    await hall.serving(well)
    assert (await hall.ask()).status == 200
    assert "unmetered_total 1" in await hall.metrics()


async def test_the_index_lists_the_callers_services(hall):
    replica = await hall.replica()
    await hall.declare(replica)
    await hall.declare(name="empty")
    await hall.declare(replica, name="secret", project="other")
    listed = json.loads((await hall.ask("/v2/repository/index")).body)
    assert {(one["name"], one["state"]) for one in listed} == {("digits", "READY"), ("empty", "UNAVAILABLE")}
