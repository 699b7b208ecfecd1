"""What a caller sends, and what the gateway takes it for."""

from __future__ import annotations

import pytest
from stand_ins import request, well

pytestmark = pytest.mark.anyio

HEAD = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: hall\r\nauthorization: Bearer alpha\r\n"


async def test_a_connection_serves_one_request_after_another(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    for _ in range(3):
        caller.send(request())
        assert (await caller.answer()).status == 200
    assert len(replica.seen) == 3


async def test_pipelined_requests_are_answered_in_their_order(hall):
    await hall.serving(well)
    caller = await hall.caller()
    caller.send(
        request(method="GET", path="/v2", body=b"") + request() + request("/v2/models/none/infer") * 30
    )
    caller.send(request())
    answers = [await caller.answer() for _ in range(33)]
    assert [a.status for a in answers] == [200, 200] + [404] * 30 + [200]
    assert b"modelhall" in answers[0].body
    assert [a.headers["x-request-id"] for a in answers] == [f"id-{i}" for i in range(1, 34)]


async def test_a_chunked_body_reaches_the_replica_whole(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    caller.send(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
    caller.send(b"6;extension=1\r\n world\r\n0\r\ntrailer: ignored\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert replica.seen[0].body == b"hello world"
    assert replica.seen[0].headers["content-length"] == "11"


async def test_a_request_that_arrives_byte_by_byte_is_understood(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    data = request(body=b"abc")
    for i in range(len(data)):
        caller.send(data[i : i + 1])
        await caller.writer.drain()
    assert (await caller.answer()).status == 200
    assert replica.seen[0].body == b"abc"


async def test_a_caller_who_asks_first_is_told_to_go_on(hall):
    await hall.serving(well)
    caller = await hall.caller()
    caller.send(HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.send(b"{}")
    assert (await caller.answer()).status == 200


async def test_a_stranger_who_asks_first_is_turned_away_before_he_sends_the_body(hall):
    caller = await hall.caller()
    caller.send(
        b"POST /v2/models/x/infer HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    )
    assert (await caller.answer()).status == 401
    assert await caller.ended()


async def test_http_1_0_is_answered_and_closed(hall):
    caller = await hall.caller()
    caller.send(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert await caller.ended()


async def test_a_whole_url_may_stand_for_the_path(hall):
    assert (await hall.ask("http://hall/v2?x=1", b"", method="GET")).status == 200


async def test_an_answer_to_head_has_no_body(hall):
    caller = await hall.caller()
    caller.send(request("/v2/health/live", b"", method="HEAD") + request("/v2", b"", method="GET"))
    assert b"content-length: " in (head := await caller.reader.readuntil(b"\r\n\r\n")), head
    assert (await caller.answer()).status == 200


AMBIGUOUS = {
    "length and chunked": b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    "the same length twice": b"content-length: 5\r\ncontent-length: 5\r\n\r\nabcde",
    "a list of lengths": b"content-length: 5, 5\r\n\r\nabcde",
    "a signed length": b"content-length: +5\r\n\r\nabcde",
    "a bare line feed": b"x: y\ncontent-length: 0\r\n\r\n",
    "a bare carriage return": b"x: y\rcontent-length: 0\r\n\r\n",
    "a folded header": b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a space before the colon": b"content-length : 5\r\n\r\nabcde",
    "a zero byte": b"x: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "another coding": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding that looks like chunked": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk ended by a line feed": b"transfer-encoding: chunked\r\n\r\n1\na\n0\n\n",
    "a negative chunk": b"transfer-encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "a chunk without end": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na",
    "a second host": b"host: elsewhere\r\ncontent-length: 0\r\n\r\n",
    "an upgrade": b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_could_be_read_in_two_ways_reaches_no_replica(hall, rest):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    caller.send(HEAD + rest + request())
    answer = await caller.answer()
    assert answer.status == 400
    assert answer.error
    assert answer.headers["connection"] == "close"
    assert await caller.ended()
    assert replica.seen == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET /v2\r\n\r\n", 400),
        (b"GET /v2 HTTP/2.0\r\nhost: h\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT hall:80 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        (b"POST /v2 HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
    ids=["tls", "no host", "http 0.9", "http 2", "http 2 preface", "connect", "chunked in http 1.0"],
)
async def test_what_is_not_http_1_1_is_refused_with_a_word_of_why(hall, data, status):
    caller = await hall.caller()
    caller.send(data)
    answer = await caller.answer()
    assert answer.status == status
    assert answer.error
    assert answer.headers["x-request-id"]


async def test_rubbish_behind_a_good_request_is_refused_after_its_answer(hall):
    await hall.serving(well)
    caller = await hall.caller()
    caller.send(request() + b"rubbish\r\n\r\n")
    assert (await caller.answer()).status == 200
    assert (await caller.answer()).status == 400
    assert await caller.ended()


OVERSIZED = {
    "one long header": b"x: " + b"y" * 5000 + b"\r\n\r\n",
    "an endless header": b"x: " + b"y" * 500_000,
    "many headers": b"".join(b"x%d: y\r\n" % i for i in range(30)) + b"\r\n",
}


@pytest.mark.parametrize("rest", OVERSIZED.values(), ids=OVERSIZED)
async def test_a_head_that_is_too_large_is_refused(hall, rest):
    caller = await hall.caller()
    caller.send(HEAD + rest)
    assert (await caller.answer()).status == 431
    assert await caller.ended()


async def test_an_endless_path_is_refused(hall):
    caller = await hall.caller()
    caller.send(b"GET /" + b"a" * 500_000)
    assert (await caller.answer()).status in (400, 431)


@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 100001\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n1000\r\n" + b"x" * 4096,
        b"transfer-encoding: chunked\r\n\r\n1;" + b"e" * 500_000,
    ],
    ids=["declared", "chunk by chunk", "an endless chunk extension"],
)
async def test_a_body_that_is_too_large_is_refused_and_reaches_no_replica(hall, rest):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    caller.send(HEAD + rest + (b"\r\n1000\r\n" + b"x" * 4096) * 40)
    assert (await caller.answer()).status in (400, 413)
    assert replica.seen == []


async def test_a_caller_who_sends_far_too_much_still_reads_why_he_was_refused(hall):
    caller = await hall.caller()
    caller.send(HEAD + b"content-length: 5000000\r\n\r\n" + b"x" * 5_000_000)
    answer = await caller.answer()
    assert answer.status == 413
    assert "100000 bytes" in answer.error


@pytest.mark.parametrize(
    "url",
    ["http://evil/v2", "http://hall@evil/v2", "http://evil@hall/v2", "http://evil#@hall/v2", "ftp://hall/v2"],
)
async def test_cve_2026_24779_a_url_that_two_parsers_take_apart_differently_is_refused(hall, url):
    answer = await hall.ask(url, b"", method="GET")
    assert answer.status == 400
    assert answer.error


PATHS = [
    "//v2",
    "/v2/",
    "/v2/../v2",
    "/v2/%2e%2e/v2",
    "/v2%00",
    "/%762",
    "/v2\\",
    "/v2/models/digits/infer%2f..",
    "/V2",
    "/v2.",
]


@pytest.mark.parametrize("path", PATHS)
async def test_no_path_is_made_into_another(hall, path):
    (replica,) = await hall.serving(well)
    for method in ("GET", "POST"):
        answer = await hall.ask(path, b"", method=method)
        assert answer.status == 404
        assert answer.error
    assert replica.seen == []


@pytest.mark.parametrize(
    "header",
    [
        "authorization: Bearer beta",
        "host: hall",
        "content-type: a\r\ncontent-type: b",
        "expect: x\r\nexpect: y",
    ],
)
async def test_what_must_stand_once_does(hall, header):
    (replica,) = await hall.serving(well)
    answer = await hall.ask("/v2/models/digits/infer", b"{}", header)
    assert answer.status == 400
    assert "twice" in answer.error
    assert replica.seen == []
