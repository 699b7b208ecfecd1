"""A reply that begins as the one before is read as the parser would read it."""

from __future__ import annotations

from typing import Any

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelhall.gateway.reply import Failure, Reply
from modelhall.gateway.reply_reader import ReplyReader

LINES = [
    b"content-length: 5", b"Content-Length: 0", b"content-length: 2", b"content-length:2", b"content-length: 2.0",
    b"x-hall-compute-s: 0.25", b"x-hall-compute-s: 7", b"x-hall-compute-s: 1e-05", b"x-hall-compute-s: nan",
    b"X-Hall-Compute-S: .5", b"transfer-encoding: chunked", b"connection: close", b"content-type: text/event-stream",
    b"content-type: application/json", b"x-other: 3", b"x: a\r\n b",
]  # fmt: skip
STARTS = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 503 No",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 None",
    b"\r\nHTTP/1.1 200 OK",
]
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nx-hall-compute-s: 0.5\r\nx: y\r\ncontent-length: 2\r\n\r\nhi"


class Source:
    def go_on(self) -> None: ...

    def drop(self, failure: Failure) -> None: ...


def _read(replies: list[bytes], cut: int, *, anew: bool) -> list[Any]:
    """What a reader makes of replies that come one after the other; `anew`: if it remembers no head."""
    reader, read = ReplyReader(), []
    for message in replies:
        reply, ended = Reply(Source(), lambda: None), False
        for piece in (message[i : i + cut] for i in range(0, len(message), cut)):
            if anew:
                reader._same = None
            try:
                ended = reader.feed(piece, reply, 1.0)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                return [*read, "refused"]
            if ended:
                break
        head = reply.head
        told = None if head is None else (head.status, head.headers, head.streamed)
        read.append((told, reply.length, reply.weight_s, reply.whole(), ended, reader.until_close))
        if not ended or not reader.can_go_on:
            return [*read, reader.can_go_on]
    return read


REPLIES = st.builds(
    lambda start, lines, body: b"\r\n".join([start, *lines, b"", b""]) + body,
    st.sampled_from([*STARTS, INTERIM + STARTS[0]]),
    st.lists(st.sampled_from(LINES), max_size=5),
    st.sampled_from([b"", b"hello", b"hi", b"hi!", b"5\r\nhello\r\n0\r\n\r\n", PLAIN]),
)


@settings(deadline=None, max_examples=300)
@given(replies=st.lists(REPLIES, max_size=3), cut=st.integers(1, 400))
@example(replies=[PLAIN, PLAIN.replace(b"0.5", b"12.25"), PLAIN + b"x"], cut=400)
@example(replies=[PLAIN, PLAIN], cut=75)
def test_replies_are_read_alike_whether_or_not_their_heads_are_remembered(replies: list[bytes], cut: int):
    repeated = [reply for reply in replies for _ in range(2)]
    assert _read(repeated, cut, anew=False) == _read(repeated, cut, anew=True)


def test_a_head_that_comes_again_is_the_same_object_and_only_its_numbers_are_read():
    reader = ReplyReader()
    heads = set()
    for number, body in ((b"0.5", b"hi"), (b"1.25", b"hello"), (b"3", b"")):
        reply = Reply(Source(), lambda: None)
        length = b"content-length: %d" % len(body)
        message = PLAIN.replace(b"0.5", number).replace(b"content-length: 2", length)[:-2] + body
        assert reader.feed(message, reply, 1.0)
        assert (reply.whole(), reply.weight_s) == (body, float(number))
        heads.add(id(reply.head))
    assert len(heads) == 1
