"""What replicas answer is read alike however it comes, and a connection is used again only when that is safe."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import httptools
import pytest

from modelhall.gateway.reply import Failure, Reply
from modelhall.gateway.reply_reader import ReplyReader

WHOLE = b"HTTP/1.1 200 OK\r\nx-hall-compute-s: 0.5\r\nX: y\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2\r\nlo\r\n0\r\nx-hall-compute-s: 9\r\n\r\n"
)
ANNOUNCED = b"HTTP/1.1 100 Continue\r\nx: not this\r\n\r\n" + WHOLE


class Nowhere:
    def waiter(self) -> asyncio.Future[None]:
        raise AssertionError("nobody waits here")

    def go_on(self) -> None: ...

    def drop(self, failure: Failure) -> None: ...


class Read(NamedTuple):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    weight_s: float
    ended: bool


def read(reader: ReplyReader, message: bytes, cut: int = 1000) -> Read:
    reply, ended = Reply(Nowhere(), lambda: None), False
    for start in range(0, len(message), cut):
        assert not ended
        ended = reader.feed(message[start : start + cut], reply, 1.0)
    assert reply.head is not None
    return Read(reply.head.status, reply.head.headers, reply.whole(), reply.weight_s, ended)


@pytest.mark.parametrize("cut", [1, 2, 7, 60, 1000])
def test_however_replies_are_cut_they_are_read_alike_one_after_the_other(cut: int):
    reader = ReplyReader()
    for _ in range(2):
        assert read(reader, WHOLE, cut) == Read(200, ((b"x", b"y"),), b"hello", 0.5, True)
        events = ((b"content-type", b"text/event-stream"),)
        assert read(reader, CHUNKED, cut) == Read(200, events, b"hello", 0.0, True)
        assert read(reader, ANNOUNCED, cut) == Read(200, ((b"x", b"y"),), b"hello", 0.5, True)
        assert reader.can_go_on


@pytest.mark.parametrize("surplus", [b"x", WHOLE, b"\r\n\r\nHTTP/1.1 200 OK\r\n"])
def test_a_reply_is_well_but_its_connection_is_not_used_again_when_more_comes_than_was_asked_for(
    surplus: bytes,
):
    reader = ReplyReader()
    assert read(reader, WHOLE + surplus).body == b"hello"
    assert not reader.can_go_on


def test_one_that_says_that_it_closes_is_not_used_again():
    reader = ReplyReader()
    assert read(reader, WHOLE.replace(b"X: y", b"connection: close")).ended
    assert not reader.can_go_on


def test_without_a_length_only_the_end_of_the_connection_tells():
    reader = ReplyReader()
    assert not read(reader, b"HTTP/1.1 200 OK\r\n\r\nhello").ended
    assert reader.until_close
    assert read(ReplyReader(), WHOLE).ended


@pytest.mark.parametrize("account", [b"nan", b"inf", b"-1", b"much", b""])
def test_an_account_of_the_work_that_makes_no_sense_counts_nothing(account: bytes):
    assert read(ReplyReader(), WHOLE.replace(b"0.5", account)).weight_s == 0.0


@pytest.mark.parametrize("message", [b"hello\r\n\r\n", b"HTTP/1.1 OK 200\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_not_http_is_refused(message: bytes):
    with pytest.raises(httptools.HttpParserError):
        ReplyReader().feed(message, Reply(Nowhere(), lambda: None), 1.0)
