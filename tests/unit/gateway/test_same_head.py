"""A head that is known is read as the parser would read it."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelhall.core.errors import HallError
from modelhall.gateway.messages import Request
from modelhall.gateway.reader import RequestReader, Sizes

LINES = [
    b"Host: hall", b"host: other", b"content-length: 5", b"Content-Length: 0", b"CONTENT-LENGTH: 3",
    b"content-length: 007", b"content-length:2", b"content-length: 5 ", b"content-length: 99999999999999999999",
    b"transfer-encoding: chunked", b"connection: close", b"connection: keep-alive", b"expect: 100-continue",
    b"x: a\r\n b", b"x: content-length: 4", b"upgrade: h2c", b"authorization: Bearer a", b" content-length: 9",
]  # fmt: skip
STARTS = [b"POST /v2/x HTTP/1.1", b"GET / HTTP/1.1", b"POST /v2/x HTTP/1.0", b"\r\nPOST /v2/x HTTP/1.1"]
PLAIN = b"POST /v2/x HTTP/1.1\r\nHost: hall\r\ncontent-length: "


class Outlet:
    address = ""

    def hold(self, size_bytes: int) -> None: ...

    def invite_body(self) -> None: ...

    async def answer(self, *given: Any) -> int:
        return 0


def _read(pieces: list[bytes], *, anew: bool) -> list[tuple]:
    """What a reader makes of these pieces; `anew`: of all of them with a parser that remembers no head."""
    taken: list[Request] = []
    reader = RequestReader(Sizes(head_bytes=4096, body_bytes=1000), lambda: "id", Outlet(), taken.append)
    problem: Any = None
    for piece in pieces:
        if anew:
            reader._same = None
        try:
            reader.feed(piece)
        except HallError as error:
            problem = error.status
            break
    read = [
        (r.method, r.path, r.version, r.headers, r.keep_alive, b"".join(r._chunks), r.whole) for r in taken
    ]
    return [*read, problem, reader.in_head, reader.open is None]


MESSAGES = st.builds(
    lambda start, lines, body: b"\r\n".join([start, *lines, b"", b""]) + body,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(LINES), max_size=5),
    st.sampled_from([b"", b"hello", b"hi", b"5\r\nhello\r\n0\r\n\r\n", PLAIN + b"2\r\n\r\nhi"]),
)


@settings(deadline=None, max_examples=300)
@given(messages=st.lists(MESSAGES, max_size=3), cut=st.integers(1, 400))
@example(messages=[PLAIN + b"2\r\n\r\nhi", PLAIN + b"5\r\n\r\nhello", PLAIN + b"0\r\n\r\n"], cut=400)
@example(messages=[PLAIN + b"2\r\n\r\nhi", PLAIN + b"5\r\n\r\nhello"], cut=60)
def test_requests_are_read_alike_whether_or_not_their_heads_are_remembered(messages: list[bytes], cut: int):
    repeated = [message for message in messages for _ in range(2)]
    pieces = [message[i : i + cut] for message in repeated for i in range(0, len(message), cut)]
    assert _read(pieces, anew=False) == _read(pieces, anew=True)


def test_a_head_that_comes_again_is_the_same_object_and_only_its_length_is_read():
    taken: list[Request] = []
    reader = RequestReader(Sizes(), lambda: "id", Outlet(), taken.append)
    for body in (b"hi", b"hello", b""):
        reader.feed(PLAIN + b"%d\r\n\r\n" % len(body) + body)
    assert len({id(request.head) for request in taken}) == 1
    assert [b"".join(request._chunks) for request in taken] == [b"hi", b"hello", b""]
    assert all(request.whole for request in taken)


def test_several_requests_in_one_piece_are_all_read():
    taken: list[Request] = []
    reader = RequestReader(Sizes(), lambda: "id", Outlet(), taken.append)
    reader.feed(PLAIN + b"2\r\n\r\nhi")
    reader.feed((PLAIN + b"5\r\n\r\nhello") * 3 + PLAIN + b"4\r\n\r\nbo")
    reader.feed(b"th" + PLAIN + b"2\r\n\r\nhi")
    assert [b"".join(request._chunks) for request in taken] == [b"hi", *[b"hello"] * 3, b"both", b"hi"]
