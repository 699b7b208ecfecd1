"""What may stand in the head of a request, for the API and the gateway alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhall.core.errors import Rejected
from modelhall.core.request_head import (
    HEAD_BYTES,
    HEADERS,
    PARAMETERS,
    check_framing,
    check_headers,
    check_path,
    check_query,
    split_target,
)

PATHS = {
    "dots": "/api/../secrets", "a dot": "/api/./runs", "three dots": "/api/.../runs",
    "a dot at the end": "/api/runs.",
    "two slashes": "//api", "a slash at the end": "/api/", "a backslash": "/api\\v1", "a drive": "/api/..\\x",
    "escaped dots": "/api/%2e%2e/x", "escaped twice": "/api/%252e%252e/x", "an escaped slash": "/api%2fv1",
    "an escaped letter": "/%61pi", "a NUL": "/api\0", "an escaped NUL": "/api%00", "half an escape": "/api%",
    "a space": "/a b", "a tab": "/a\tb", "a line end": "/a\r\nb", "a question": "/a?b", "a fragment": "/a#b",
    "a parameter": "/api;x=y/v1", "fullwidth letters": "/ａｐｉ", "a fullwidth slash": "/api／v1",
    "a ligature": "/ﬁles",
    "a dotless i": "/apı", "nothing": "", "no slash": "api", "a star": "*",
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_path_that_could_be_read_as_another_is_refused(path: str) -> None:
    with pytest.raises(Rejected) as raised:
        check_path(path.encode())
    assert raised.value.status == 404


@pytest.mark.parametrize("path", [b"/api/\xc0\xaf", b"/api/\xc0\xae\xc0\xae", b"/\xff", b"/\xed\xa0\x80"])
def test_a_path_in_overlong_or_broken_utf_8_is_refused(path: bytes) -> None:
    with pytest.raises(Rejected):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/runs", "/v2/models/a.b/versions/3f2a/infer", "/.well-known/x", "/a@b/c:d_e~f", "/a..b"],
)
def test_a_plain_path_is_taken(path: str) -> None:
    check_path(path.encode())


@pytest.mark.parametrize(
    "query", [b"a=%", b"a=%2", b"a=%zz", b"a=%00", b"a=%0a", b"a=%7f", b"a=%c2%80", b"a=%ff", b"a=%c0%af",
              b"a=%ed%a0%80",
              b"a=\xff", b"a=b c", b"a=\0", b'a="', b"a=<", b"a=\\", b"a=b#c", b"&" * PARAMETERS],
)  # fmt: skip
def test_a_query_whose_escapes_stand_for_no_text_is_refused(query: bytes) -> None:
    with pytest.raises(Rejected) as raised:
        check_query(query)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "query", [b"", b"a=b&a=c", b"label=team=x", b"a=%C3%A9+b", b"after=p/n", b"a", b"a=%25"]
)
def test_a_plain_query_is_taken(query: bytes) -> None:
    check_query(query)


@given(st.binary(max_size=60))
def test_a_query_that_is_taken_is_text(query: bytes) -> None:
    try:
        check_query(query)
    except Rejected:
        return
    query.decode("ascii")


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [(b"/a?b=c?d", b"h", b"/a"), (b"http://h/a?b", b"h", b"/a"), (b"HTTPS://H:7070/a", b"h:7070", b"/a"),
     (b"http://h", b"h", b"/"), (b"http://h?b", b"h", b"/")],
)  # fmt: skip
def test_a_target_is_a_path_or_a_url_of_the_named_host(target: bytes, host: bytes, path: bytes) -> None:
    assert split_target(target, host)[0] == path


@pytest.mark.parametrize(
    "target",
    [b"http://evil/a", b"http://h@evil/a", b"http://evil@h/a", b"http://h\\@evil/a", b"http://h#@evil/a", b"//evil/a",
     b"http:/h/a", b"http:///a", b"ftp://h/a", b"file:///etc/passwd", b"h:80", b"*", b"", b"http://h/../a", b"?a"],
)  # fmt: skip
def test_a_target_that_two_parsers_would_send_to_two_places_is_refused(target: bytes) -> None:
    with pytest.raises(Rejected):
        split_target(target, b"h")


def test_what_must_be_single_is() -> None:
    check_headers([(b"accept", b"a"), (b"accept", b"b"), (b"authorization", b"x")])
    for name in (b"authorization", b"host", b"content-length", b"content-type", b"idempotency-key"):
        with pytest.raises(Rejected, match="stands twice"):
            check_headers([(name, b"1"), (b"x", b"y"), (name, b"1")])


@pytest.mark.parametrize(
    "header", [(b"x", b"a\0b"), (b"x", b"a\r\nb: c"), (b"x", b"a\n b"), (b"x y", b"z"), (b"x:", b"z"), (b"", b"z"),
               (b"x\0", b"z"), (b"\xff", b"z")],
)  # fmt: skip
def test_a_header_with_characters_that_end_one_is_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(Rejected):
        check_headers([header])


def test_headers_are_few_and_small() -> None:
    check_headers([(b"x%d" % number, b"y") for number in range(HEADERS)])
    for many in ([(b"x%d" % number, b"y") for number in range(HEADERS + 1)], [(b"x", b"y" * HEAD_BYTES)]):
        with pytest.raises(Rejected) as raised:
            check_headers(many)
        assert raised.value.status == 431


@pytest.mark.parametrize(
    ("version", "host", "coding"),
    [("2.0", b"h", None), ("0.9", None, None), ("1.1", None, None), ("1.1", b"a, b", None), ("1.0", None, b"chunked"),
     ("1.1", b"h", b"gzip, chunked"), ("1.1", b"h", b"chunked, chunked"), ("1.1", b"h", b"\x0bchunked")],
)  # fmt: skip
def test_where_a_body_ends_and_whom_it_is_for_is_never_a_guess(
    version: str, host: bytes | None, coding: bytes | None
) -> None:
    with pytest.raises(Rejected):
        check_framing(version, host, coding)
