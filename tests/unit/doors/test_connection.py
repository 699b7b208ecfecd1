"""The API's connection, fed with bytes: what uvicorn alone would answer in plain text, wait for, or mix up."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from uvicorn.server import ServerState

from modelhall.doors.api import answers, bodies, connection, heads
from modelhall.doors.api.connection import Connection

HEAD = b"POST /echo HTTP/1.1\r\nhost: hall\r\ncontent-type: application/json\r\n"
GET = b"GET /slow HTTP/1.1\r\nhost: hall\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 80)})
        self.written = b""
        self.ended = False
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.ended, "nothing is said after the end"
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    @property
    def answered(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.written)]

    @property
    def error(self) -> dict[str, Any]:
        """The last answer, which is an error."""
        head, _, body = self.written.rpartition(b"\r\n\r\n")
        assert b"content-type: application/json" in head
        assert b"connection: close" in head
        told: dict[str, Any] = json.loads(body)["error"]
        assert told.keys() == {"message", "who", "field", "document"}
        return told


class Talk:
    def __init__(self) -> None:
        api = FastAPI()
        self.go_on = asyncio.Event()
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []

        @api.post("/echo")
        async def echo(request: Request) -> int:
            self.headers.append(dict(request.headers))
            return len(await request.body())

        @api.post("/deaf")
        async def deaf() -> str:
            return "no need of it"

        @api.get("/slow")
        async def slow(request: Request) -> str:
            self.paths.append(request.url.path)
            await self.go_on.wait()
            return "done"

        answers.install(api)
        bodies.install(api)
        heads.install(api)
        config = uvicorn.Config(api, lifespan="off", log_config=None, ws="none")
        self.connection = Connection(config, ServerState(), {})
        self.transport = Transport()
        self.connection.connection_made(self.transport)

    async def say(self, *pieces: bytes) -> Transport:
        for piece in pieces:
            self.connection.data_received(piece)
            await self.settle()
        return self.transport

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


def talk(play: Callable[[Talk], Awaitable[None]]) -> None:
    async def whole() -> None:
        started = Talk()
        await play(started)
        started.connection.connection_lost(None)
        await started.settle()

    asyncio.run(whole())


BROKEN = {
    "rubbish": b"rubbish\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /slow HTTP/1.1\r\n\r\n",
    "two hosts": GET[:-2] + b"host: evil\r\n\r\n",
    "two tokens": GET[:-2] + b"authorization: a\r\nauthorization: b\r\n\r\n",
    "length and chunked": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a negative length": HEAD + b"content-length: -1\r\n\r\n",
    "another coding": HEAD + b"transfer-encoding: gzip\r\n\r\n",
    "a bad chunk": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a chunk ended by a line feed": HEAD + b"transfer-encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "a folded header": GET[:-2] + b"x: a\r\n b\r\n\r\n",
    "a zero byte": GET[:-2] + b"x: a\x00b\r\n\r\n",
    "an upgrade": GET[:-2] + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
    "another's url": b"GET http://evil/slow HTTP/1.1\r\nhost: hall\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nhost: hall\r\n\r\n",
    "a tunnel": b"CONNECT hall:80 HTTP/1.1\r\nhost: hall\r\n\r\n",
    "letters that are none": b"GET /\xff HTTP/1.1\r\nhost: hall\r\n\r\n",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_can_be_read_in_two_ways_or_none_is_refused_in_the_shape_of_all_errors(data: bytes) -> None:
    async def play(talk: Talk) -> None:
        said = await talk.say(data, GET)
        assert said.answered == [400]
        assert said.error["message"]
        assert said.ended
        assert talk.paths == []

    talk(play)


@pytest.mark.parametrize(
    "rest", [b"x: " + b"y" * 70_000 + b"\r\n\r\n", b"x: " + b"y" * 400_000, b"x: y\r\n" * 101 + b"\r\n",
             b"x" * 400_000],
    ids=["large", "endless", "many", "an endless name"],
)  # fmt: skip
def test_a_head_beyond_all_measure_is_refused_before_it_is_whole(rest: bytes) -> None:
    async def play(talk: Talk) -> None:
        data = GET[:-2] + rest
        said = await talk.say(*[data[start : start + 50_000] for start in range(0, len(data), 50_000)])
        assert said.answered == [431]
        assert said.error["who"] == "caller"

    talk(play)


def test_an_endless_path_is_refused() -> None:
    async def play(talk: Talk) -> None:
        said = await talk.say(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: hall\r\n\r\n")
        assert said.answered == [431]

    talk(play)


def test_a_refusal_waits_for_the_answers_before_it() -> None:
    async def play(talk: Talk) -> None:
        said = await talk.say(GET + GET + b"rubbish\r\n\r\n")
        assert said.answered == []
        talk.go_on.set()
        await talk.settle()
        assert said.answered == [200, 200, 400]
        assert said.ended

    talk(play)


def test_a_trailer_is_no_header() -> None:
    async def play(talk: Talk) -> None:
        said = await talk.say(
            HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nauthorization: Bearer x\r\n\r\n"
        )
        assert said.answered == [200]
        assert "authorization" not in talk.headers[0]

    talk(play)


def test_a_body_that_is_answered_before_it_is_here_ends_the_connection_after_that_answer() -> None:
    async def play(talk: Talk) -> None:
        said = await talk.say(b"POST /deaf HTTP/1.1\r\nhost: hall\r\ncontent-length: 100\r\n\r\nabc")
        assert said.answered == [200]
        assert said.ended
        await talk.say(b"d" * 97 + GET)
        assert said.answered == [200]

    talk(play)


def test_whoever_does_not_go_on_is_given_up_and_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.0)
    monkeypatch.setattr(connection, "BODY_S", 0.0)

    for data, status in ((GET[:20], 408), (HEAD + b"content-length: 9\r\n\r\n{", 408), (b"", None)):

        async def play(talk: Talk, data: bytes = data, status: int | None = status) -> None:
            if data:
                talk.connection.data_received(data)
            while not (talk.transport.ended or talk.transport.closed):
                await asyncio.sleep(0)
            await talk.settle()
            assert talk.transport.answered == ([status] if status else [])
            assert status is None or "did not arrive within" in talk.transport.error["message"]

        talk(play)


def test_line_ends_alone_do_not_keep_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(talk: Talk) -> None:
        talk.go_on.set()
        await talk.say(GET)
        monkeypatch.setattr(connection, "HEAD_S", 0.0)
        await talk.say(b"\r\n")
        while not talk.transport.closed:
            await asyncio.sleep(0)
        assert talk.transport.answered == [200]

    talk(play)


def test_a_url_of_the_named_host_is_a_path() -> None:
    async def play(talk: Talk) -> None:
        talk.go_on.set()
        said = await talk.say(b"GET http://HALL/slow?x=1 HTTP/1.1\r\nhost: hall\r\n\r\n")
        assert (said.answered, talk.paths) == ([200], ["/slow"])

    talk(play)


def test_a_refused_caller_who_goes_on_sending_is_listened_to_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def play(talk: Talk) -> None:
        now = [100.0]
        calls: list[float] = []
        monkeypatch.setattr(talk.connection.loop, "time", lambda: now[0])
        monkeypatch.setattr(
            talk.connection.loop, "call_later", lambda delay, *_: calls.append(now[0] + delay) or Timer()
        )
        talk.connection.data_received(b"rubbish\r\n\r\n")
        for _ in range(40):
            now[0] += 1.0
            talk.connection.data_received(b"more")
        assert calls[-40:] == [min(100.0 + second + 2.0, 130.0) for second in range(1, 41)]

    class Timer:
        def cancel(self) -> None:
            pass

    talk(play)
