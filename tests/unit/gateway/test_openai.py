"""The OpenAI API at the gateway: the service is found by `model`, answers pass as they come, and are metered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from stand_ins import Answer, Seen, answering, eventually, request, well

CHAT = "/v1/chat/completions"
pytestmark = pytest.mark.anyio


def asked(model: Any = "digits", **more: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def event(number: int, seconds: float = 0.25) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n: 5 %d %.6f\n\n' % (number, seconds)


def error_in(answer: Answer) -> dict[str, Any]:
    error = json.loads(answer.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def streaming(*events: bytes, go_on: asyncio.Event | None = None, breaks: bool = False) -> Any:
    """A replica that sends the first event at once, and the others when it is told to."""

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + _chunk(events[0]))
        await writer.drain()
        if go_on is not None:
            await go_on.wait()
        for one in events[1:]:
            writer.write(_chunk(one))
        if breaks:
            await writer.drain()
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")

    return behave


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_request_goes_to_the_service_that_is_its_model(hall):
    (replica,) = await hall.serving(well)
    body = asked(temperature=0.5)
    assert (await hall.ask(CHAT, body)).status == 200
    assert replica.seen[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert replica.seen[0].body == body
    assert "authorization" not in replica.seen[0].headers


async def test_the_usage_of_an_answer_is_written_down(hall):
    usage = b'"usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "compute_s": 0.125}}'
    await hall.serving(answering("200 OK", b'{"choices": [' + b" " * 1000 + b"], " + usage))
    await hall.ask(CHAT, asked())
    (used,) = hall.usage
    assert (used.tokens_in, used.tokens_out, used.weight) == (11, 7, 0.125)
    assert used.service == "digits"


async def test_events_pass_as_they_come_and_the_last_one_counts(hall):
    go_on = asyncio.Event()
    await hall.serving(streaming(event(1), event(2), event(3, 0.75), b"data: [DONE]\n\n", go_on=go_on))
    caller = await hall.caller()
    caller.send(request(CHAT, asked(stream=True)))
    head = await caller.reader.readuntil(b"\r\n\r\n")
    assert b"text/event-stream" in head
    first = await caller.reader.readuntil(b"\n: 5 1 0.250000\n\n")
    assert b"[DONE]" not in first
    go_on.set()
    assert b"[DONE]" in await caller.reader.readuntil(b"0\r\n\r\n")
    await eventually(lambda: hall.usage)
    (used,) = hall.usage
    assert (used.tokens_in, used.tokens_out, used.weight) == (5, 3, 0.75)
    assert 0 < used.first_token_s <= used.duration_s


async def test_a_caller_who_goes_away_pays_for_what_he_was_told_and_the_replica_sees_him_go(hall):
    (replica,) = await hall.serving(streaming(event(1), event(2), go_on=asyncio.Event()))
    caller = await hall.caller()
    caller.send(request(CHAT, asked(stream=True)))
    await caller.reader.readuntil(b"\n: 5 1 0.250000\n\n")
    caller.abort()
    await eventually(lambda: replica.gone == 1)
    await eventually(lambda: hall.usage)
    (used,) = hall.usage
    assert (used.status, used.tokens_out, used.weight) == (499, 1, 0.25)


async def test_a_stream_that_breaks_off_is_gone_on_with_by_another_replica(hall):
    told = (event(1), event(2), b"data: [DONE]\n\n")
    await hall.serving(streaming(*told[:1], breaks=True), streaming(*told), balance="round-robin")
    for _ in range(2):
        caller = await hall.caller()
        caller.send(request(CHAT, asked(stream=True, temperature=0)))
        body = (await caller.answer()).body
        assert (body.count(b'"content": "x"') + body.count(b'"content":"x"'), body.count(b"[DONE]")) == (2, 1)
    await eventually(lambda: len(hall.usage) == 2)
    assert {used.tokens_out for used in hall.usage} == {2}


async def test_a_stream_that_breaks_off_each_time_is_gone_on_with_so_often_and_no_more(hall):
    replicas = await hall.serving(*[streaming(event(1), breaks=True)] * 3, retries=1, balance="round-robin")
    caller = await hall.caller()
    caller.send(request(CHAT, asked(stream=True, temperature=0)))
    with pytest.raises(asyncio.IncompleteReadError):
        await caller.answer()
    assert sum(len(replica.seen) for replica in replicas) == 2


async def test_a_replica_that_breaks_in_a_stream_is_metered_up_to_there(hall):
    await hall.serving(streaming(event(1), event(2), breaks=True), retries=0)
    caller = await hall.caller()
    caller.send(request(CHAT, asked(stream=True)))
    await caller.reader.readuntil(b"\n: 5 2 0.250000\n\n")
    await eventually(lambda: hall.usage)
    assert hall.usage[0].tokens_out == 2


async def test_a_sign_of_life_is_not_the_first_token(hall):
    go_on = asyncio.Event()
    await hall.serving(streaming(b": still here\n\n", event(1), b"data: [DONE]\n\n", go_on=go_on))
    caller = await hall.caller()
    caller.send(request(CHAT, asked(stream=True)))
    await caller.reader.readuntil(b"still here\n\n")
    await asyncio.sleep(0.1)
    go_on.set()
    await caller.reader.readuntil(b"0\r\n\r\n")
    await eventually(lambda: hall.usage)
    assert hall.usage[0].first_token_s > 0.09  # a sleep may end a little before its time


async def test_a_version_can_be_asked_for(hall):
    await hall.serving(well)
    assert (await hall.ask(CHAT, asked("digits@3f2a"))).status == 200
    assert (await hall.ask(CHAT, asked("digits@ffff"))).status == 404


async def test_a_service_that_is_not_there_and_one_of_others_are_the_same(hall):
    await hall.serving(well)
    other = await hall.replica("r9")
    await hall.declare(other, name="secret", project="other")
    answers = [await hall.ask(CHAT, asked(model)) for model in ("other.secret", "nowhere.secret")]
    assert [answer.status for answer in answers] == [404, 404]
    assert error_in(answers[0]) == error_in(answers[1])
    assert error_in(answers[0])["code"] == "model_not_found"
    assert not other.seen


async def test_models_are_the_services_one_may_use(hall):
    await hall.serving(well)
    await hall.declare(await hall.replica("r9"), name="secret", project="other")
    listed = json.loads((await hall.ask("/v1/models", b"", method="GET")).body)
    assert [model["id"] for model in listed["data"]] == ["digits"]
    one = json.loads((await hall.ask("/v1/models/digits", b"", method="GET")).body)
    assert one == listed["data"][0]
    assert (await hall.ask("/v1/models/other.secret", b"", method="GET")).status == 404


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None), (b"{", None), (b"\xff", None), (b"[]", "model"), (b"{}", "model"), (b'{"model": 7}', "model"),
        (b'{"model": null}', "model"), (b'{"model": "../x"}', "model"), (b"[" * 9999, None),
        (b'{"model": NaN}', None),
    ],
)  # fmt: skip
async def test_a_body_without_a_model_is_refused_in_the_protocols_shape(hall, body, param):
    (replica,) = await hall.serving(well)
    answer = await hall.ask(CHAT, body)
    assert answer.status in (400, 404)
    assert error_in(answer)["param"] == param
    assert not replica.seen


async def test_refusals_below_v1_have_the_protocols_shape(hall):
    await hall.serving(well)
    answers = {
        401: await hall.ask(CHAT, asked(), "x: y", method="POST"),
        404: await hall.ask("/v1/nothing", b""),
        405: await hall.ask(CHAT, b"", method="GET"),
    }
    caller = await hall.caller()
    caller.send(request(CHAT, asked()).replace(b"Bearer alpha", b"Bearer gamma"))
    answers[401] = await caller.answer()
    for status, answer in answers.items():
        assert answer.status == status
        error_in(answer)


async def test_what_a_replica_refuses_is_passed_on_in_shape(hall):
    said = json.dumps(
        {"error": {"message": "no", "type": "invalid_request_error", "param": "n", "code": None}}
    )
    await hall.serving(answering("400 Bad Request", said.encode()))
    assert error_in(await hall.ask(CHAT, asked()))["param"] == "n"


async def test_what_a_replica_says_in_a_shape_of_its_own_is_put_into_this_one(hall):
    await hall.serving(answering("500 Oops", b"<html>oops</html>"))
    assert "oops" in error_in(await hall.ask(CHAT, asked()))["message"]


async def test_a_full_service_says_when_to_come_back(hall):
    said = json.dumps({"error": {"message": "full", "type": "server_error", "param": None, "code": None}})
    await hall.serving(answering("503 Busy", said.encode(), "retry-after: 7"), retries=0)
    answer = await hall.ask(CHAT, asked())
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    error_in(answer)


async def test_a_deadline_is_passed_along(hall):
    (replica,) = await hall.serving(well)
    await hall.ask(CHAT, asked(), "x-request-timeout-s: 7")
    assert replica.seen[0].headers["x-request-timeout-s"] == "7"


async def test_a_body_beyond_all_measure_is_refused(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    caller.send(request(CHAT, b"").replace(b"content-length: 0", b"content-length: 104857600"))
    answer = await caller.answer()
    assert answer.status == 413
    error_in(answer)
    assert not replica.seen


async def test_half_a_request_and_then_silence_is_refused_and_the_others_are_answered(hall):
    (replica,) = await hall.serving(well)
    caller = await hall.caller()
    body = asked()
    caller.send(request(CHAT, body)[: -len(body) // 2])
    assert (await hall.ask(CHAT, body)).status == 200
    answer = await caller.answer()
    assert answer.status == 408
    error_in(answer)
    assert len(replica.seen) == 1
