"""The head of an HTTP request: what API and gateway both refuse, since servers are known to read it differently.

One reading for all: what would first have to be decoded, normalised or chosen from is no request here. Which routes
there are, and who may ask, is left to the doors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from modelhall.core.errors import Rejected

HEAD_BYTES = 64 * 1024
HEADERS = 100
PARAMETERS = 100

SINGLE = frozenset((
    b"authorization", b"content-encoding", b"content-length", b"content-type", b"cookie", b"expect", b"host",
    b"idempotency-key", b"last-event-id", b"origin", b"transfer-encoding",
))  # fmt: skip
"""Headers that may stand once: of two, one server takes the first and another the last."""

# Everything here is named in plain ASCII, so no path needs an escape. That leaves no second way to write one: no
# `..`, no backslash, no `%2e` or `%252e`, no NUL, no overlong UTF-8, no letters that only look like others.
_PATH = re.compile(rb"/|(?:/[A-Za-z0-9._~:@-]*[A-Za-z0-9_~:@-])+")
_QUERY = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_HEADER_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HEADER_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def split_target(target: bytes, host: bytes | None) -> tuple[bytes, bytes]:
    """The path and the query of what is asked for, both checked; raises Rejected.

    A target may be a whole URL, if that is of the `host` that the Host header names: otherwise whoever looks at the
    one and whoever looks at the other would not speak of the same thing.
    """
    if not target.startswith(b"/"):
        target = _without_authority(target, host)
    path, _, query = target.partition(b"?")
    check_path(path)
    check_query(query)
    return path, query


def check_path(path: bytes) -> None:
    """Raise Rejected unless there is only one way to read it."""
    if not _PATH.fullmatch(path):
        raise Rejected(
            "a path is words of ASCII letters, digits and -._~:@ with one `/` before each, none of which ends with a "
            f"dot; nothing in it is escaped; not {_shown(path)}",
            status=404,
        )


def check_query(query: bytes) -> None:
    """Raise Rejected unless every escape in it is one and stands for text."""
    if not query:
        return
    if not _QUERY.fullmatch(query):
        raise Rejected(f"a query holds ASCII and escapes such as %20 only, not {_shown(query)}")
    if query.count(b"&") >= PARAMETERS:
        raise Rejected(f"a query may have {PARAMETERS} parameters")
    try:
        text = unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise Rejected(f"the escapes in the query are not UTF-8: {_shown(query)}") from None
    if _CONTROL.search(text):
        raise Rejected(f"the query holds a control character: {_shown(query)}")


def check_headers(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise Rejected unless they are few, each is a header, and those that must be single are; in lower case."""
    if len(headers) > HEADERS:
        raise Rejected(f"the request has more than {HEADERS} headers", status=431)
    if sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES:
        raise Rejected(f"the head is larger than {HEAD_BYTES} bytes", status=431)
    seen = set()
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or _HEADER_CONTROL.search(value):
            raise Rejected(f"the header {_shown(name)} holds characters that no header may have")
        if name in SINGLE and name in seen:
            raise repeated(name)
        if name == b"content-length" and not _LENGTH.fullmatch(value):
            raise Rejected(f"a length is a number of bytes, not {_shown(value)}", status=413)
        seen.add(name)


def check_framing(version: str, host: bytes | None, coding: bytes | None) -> None:
    """Raise Rejected unless it is plain whom the request is for and where its body ends.

    `coding` is the value of Transfer-Encoding. A length beside it, and the like, the parsers refuse.
    """
    if version not in ("1.1", "1.0"):
        raise Rejected(f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    if version == "1.1" and (host is None or b"," in host):
        raise Rejected("a request needs exactly one Host header")
    if coding is not None and (coding.lower() != b"chunked" or version == "1.0"):
        raise Rejected("the only transfer encoding taken is chunked, with HTTP/1.1")


def repeated(name: bytes) -> Rejected:
    """The error for a header of `SINGLE` that stands twice."""
    return Rejected(f"the header {name.decode()!r} stands twice; send it once")


def _without_authority(target: bytes, host: bytes | None) -> bytes:
    scheme, found, rest = target.partition(b"://")
    end = next((place for place, byte in enumerate(rest) if byte in b"/?#"), len(rest))
    authority, rest = rest[:end], rest[end:]
    if not found or scheme.lower() not in (b"http", b"https"):
        raise Rejected(f"the target of a request is a path or an http URL, not {_shown(target)}")
    if host is None or authority.lower() != host.lower():
        raise Rejected(f"the URL is of the host {_shown(authority)}, and the Host header names another")
    return rest if rest.startswith(b"/") else b"/" + rest


def _shown(value: bytes) -> str:
    return ascii(value[:60].decode(errors="backslashreplace"))
