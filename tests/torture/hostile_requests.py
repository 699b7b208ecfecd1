"""Requests as strangers might send them: drawn from a seed, by a grammar, over the routes there are.

A case is a number of a seed: `case(routes, seed, number)` is the same request for ever, so that what failed can be
sent again. Each begins as a request that could be meant well, and then some of its parts are spoilt. Who is sent them
and what is answered is `hostile_doors.py`'s.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote_from_bytes

Headers = tuple[tuple[bytes, bytes], ...]

METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW")
NAMES = (b"default", b"digits", b"a", b"team-1", b"run", b"models", b"3f2a9c00")
NASTY = (
    b"", b".", b"..", b"...", b"../../etc/passwd", b"..\\..\\x", b"%2e%2e", b"%252e%252e%252f", b"a%00b", b"\x00",
    b"a\x00b", b"\xc0\xaf", b"\xc0\xae\xc0\xae", b"\xff\xfe", b"\xed\xa0\x80", "ｄｅｆａｕｌｔ".encode(),
    "deﬁne".encode(), "a\u202egnp".encode(), "\u00e9".encode(), "e\u0301".encode(), "\U0001f600".encode(),
    b"a" * 5000, b"' OR '1'='1", b"'; DROP TABLE resource; --", b"x' UNION SELECT body FROM secret --", b"${jndi:ldap://h/a}",
    b"{{7*7}}", b"%s%n%x", b"<script>alert(1)</script>", b"file:///etc/passwd", b"http://169.254.169.254/",
    b"//evil", b"a;b", b"a=b", b"a&b", b"a?b", b"a#b", b"a b", b"a\tb", b"a\r\nx: y", b"\x7f", b"__proto__",
    b"constructor", b"None", b"null", b"CON", b"nul",
)  # fmt: skip
"""What is put in the place of a name."""
NUMBERS = (
    b"0", b"-1", b"1", b"1.5", b"1e9", b"NaN", b"Infinity", b"9223372036854775807", b"9223372036854775808",
    b"1" * 5000, b"0x10", b"1_0", b"+1", b" 1", "\u0661\u0662".encode(), "\u00b2".encode(), b"true", b"",
)  # fmt: skip
"""What is put in the place of a number."""
VALUES = (
    "NaN", "-Infinity", "1e400", "-1e400", "99999999999999999999", "1" * 5000, "-0", "1e-400", "0.1", "7",
    '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"x"', '""', "[]", "{}", "null", "true", '{"a": 1, "a": 2}',
    '{"\\u0000": 1}', "[" * 70 + "]" * 70, "[" * 5000, '{"a":' * 300, '"' + "x" * 20_000 + '"', "01", "+1", "'x'",
    "undefined", "[1,]", '{"$ref": "#"}', '{"__class__": "os.system"}', "[" + "1," * 3000 + "1]",
)  # fmt: skip
"""What is put in the place of a value, as text: a good writer of JSON could not write some of it."""
BAD_BODIES = (
    b"", b"\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"{", b"}", b'"\xed\xa0\x80"', b"\x80\x04\x95",
    b"PK\x03\x04", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    b"a=b&c=d", b"{} {}", b"\x1f\x8b\x08\x00" + b"\x00" * 20,
    b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n",
)  # fmt: skip
TYPES = (
    b"application/json", b"application/json; charset=utf-8", b"application/json; charset=utf-16", b"text/plain",
    b"", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"application/xml",
    b"application/x+json", b"application/json\x0b", b"APPLICATION/JSON", b"application/json, text/plain",
    b"text/html;" * 50, b"\xff/\xff",
)  # fmt: skip
AUTHORIZATIONS = (
    b"", b"Bearer", b"Bearer ", b"Bearer mh_", b"Bearer mh_" + b"A" * 43, b"Bearer ' OR 1=1 --", b"Basic",
    b"Basic =", b"Basic OjphYmM=", b"Basic " + b"/" * 999, b"bearer \xff\xff", b"Digest a=b", b"Bearer a b c",
    b"Bearer " + b"x" * 40_000, b"mh_" + b"A" * 43, b"Bearer\tmh_", b"Negotiate YII=", b"Basic \xe2\x82\xac",
)  # fmt: skip
MORE_HEADERS: Headers = (
    (b"content-encoding", b"gzip"), (b"content-encoding", b"identity"), (b"transfer-encoding", b"chunked"),
    (b"transfer-encoding", b"gzip"), (b"content-length", b"-1"), (b"content-length", b"9" * 5000),
    (b"content-length", b"0x10"), (b"expect", b"100-continue"), (b"expect", b"miracles"), (b"upgrade", b"h2c"),
    (b"upgrade", b"websocket"), (b"connection", b"upgrade"), (b"connection", b"close"), (b"host", b"evil"),
    (b"x-forwarded-for", b"127.0.0.1"), (b"x-forwarded-host", b"evil"), (b"x-original-url", b"/api/v1/health"),
    (b"x-http-method-override", b"DELETE"), (b"range", b"bytes=0-"), (b"accept", b"\xff"),
    (b"cookie", b"a=b; " * 500), (b"idempotency-key", b"k1"), (b"idempotency-key", b""),
    (b"idempotency-key", b"\xc3\xa9"), (b"idempotency-key", b"x" * 129), (b"idempotency-key", b"' --"),
    (b"idempotency-key", b"a\x00b"), (b"last-event-id", b"1"), (b"last-event-id", b"-1"),
    (b"last-event-id", b"0" * 20 + b"9" * 5000), (b"last-event-id", "\u0661".encode()),
    (b"last-event-id", b"9223372036854775808"), (b"x", b"a\x00b"), (b"x", b"a\r\nb: c"), (b"x y", b"z"),
    (b"", b"z"), (b"x" * 300, b"y" * 70_000), (b"traceparent", b"\xff" * 99),
    (b"inference-header-content-length", b"10"), (b"inference-header-content-length", b"-1"), (b"te", b"trailers"),
    (b"content-length", b"5"), (b"content-length", b"0"), (b"referer", b"javascript:alert(1)"),
)  # fmt: skip
DOCUMENT = {
    "kind": "run",
    "name": "a",
    "command": ["true"],
    "labels": {"team": "x"},
    "resources": {"cpus": 1},
}
APPLICATION = {"documents": [DOCUMENT, {"kind": "project", "name": "team-1", "weight": 2.0}], "dry_run": True}
INFERENCE = {
    "id": "7",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.5]}],
    "outputs": [{"name": "y"}],
}
_SAMPLING = {
    "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "n": 2, "seed": 7, "stop": ["a", "b"], "stream": True,
    "stream_options": {"include_usage": True}, "frequency_penalty": 0.5, "presence_penalty": 0.5,
}  # fmt: skip
CHAT = {
    "model": "digits", "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
    "logprobs": True, "top_logprobs": 2, "tool_choice": "none", **_SAMPLING,
}  # fmt: skip
COMPLETION = {"model": "digits", "prompt": "once", "logprobs": 2, **_SAMPLING}
EMBEDDINGS = {"model": "digits", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 1}
BATCH = {
    "input_file_id": "file-a",
    "endpoint": "/v1/completions",
    "completion_window": "24h",
    "metadata": {"a": "b"},
}
VALUE = re.compile(r'(?<=: )("[^"]*"|[0-9.]+|true|\{.*?\}|\[.*?\])|"[a-z_]+"(?=:)')
FORM = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, kw_only=True)
class Route:
    """A method and a path there is, such as `/api/v1/{kinds}/{name}`, and the names of its parameters."""

    method: str
    path: str
    parameters: tuple[str, ...] = ()
    body: object = None
    """JSON that it takes."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request to send."""

    number: int
    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: bytes

    @property
    def target(self) -> bytes:
        return self.path + (b"?" + self.query if self.query else b"")


def case(routes: Sequence[Route], seed: int, number: int, token: bytes) -> Case:
    """The case with this number; `token` may do everything, and most cases show it."""
    rng = random.Random(f"{seed}:{number}")
    route = rng.choice(routes)
    body = _body(route, rng)
    made = Case(
        number=number,
        method=route.method,
        path=FORM.sub(lambda _: rng.choice(NAMES).decode(), route.path).encode(),
        query=_query(route, rng, spoilt=False),
        headers=((b"host", b"localhost"), (b"authorization", b"Bearer " + token)),
        body=body,
    )
    if body:
        made = replace(made, headers=(*made.headers, (b"content-type", b"application/json")))
    for spoil in rng.choices(SPOILING, k=rng.choice((0, 1, 1, 1, 2, 2, 3))):
        made = spoil(made, route, rng)
    if made.body and not any(name == b"content-length" for name, _ in made.headers):
        made = replace(made, headers=(*made.headers, (b"content-length", b"%d" % len(made.body))))
    return made


def _other_method(made: Case, route: Route, rng: random.Random) -> Case:
    return replace(made, method=rng.choice(METHODS))


def _name_in_path(made: Case, route: Route, rng: random.Random) -> Case:
    """Another word in one place of the path, escaped or as it is."""
    words = made.path.split(b"/")
    nasty = rng.choice(NASTY + NUMBERS)
    words[rng.randrange(len(words))] = (
        quote_from_bytes(nasty, safe="").encode() if rng.random() < 0.5 else nasty
    )
    return replace(made, path=b"/".join(words))


def _shape_of_path(made: Case, route: Route, rng: random.Random) -> Case:
    path = made.path
    half = rng.randrange(len(path) + 1)
    return replace(made, path=rng.choice((
        b"/" + path, path + b"/", path.upper(), path.replace(b"/", b"//", 1), path.replace(b"/", b"\\"), path + b".",
        b"/api/v1/health/.." + path, b"/." + path, path.replace(b"/", b"%2f"), path[:half] + b"%00" + path[half:],
        path[:half] + b";a=b" + path[half:], path + b"%20", b"http://localhost" + path,
        b"http://evil" + path, b"*", path[1:],
        path[:half] + bytes([rng.randrange(256)]) + path[half:], b"/v2/health/live/.." + path, path * 40,
    )))  # fmt: skip


def _bad_query(made: Case, route: Route, rng: random.Random) -> Case:
    return replace(made, query=_query(route, rng, spoilt=True))


def _another_header(made: Case, route: Route, rng: random.Random) -> Case:
    more = rng.choices(MORE_HEADERS, k=rng.choice((1, 1, 2)))
    return replace(made, headers=(*made.headers, *more))


def _many_headers(made: Case, route: Route, rng: random.Random) -> Case:
    return replace(
        made, headers=made.headers + tuple((b"x%d" % i, b"y") for i in range(rng.choice((50, 120, 2000))))
    )


def _another_authorization(made: Case, route: Route, rng: random.Random) -> Case:
    kept = tuple(header for header in made.headers if header[0] != b"authorization" or rng.random() < 0.2)
    return replace(
        made, headers=kept + ((b"authorization", rng.choice(AUTHORIZATIONS)),) * rng.choice((0, 1, 1, 2))
    )


def _another_type(made: Case, route: Route, rng: random.Random) -> Case:
    kept = tuple(header for header in made.headers if header[0] != b"content-type")
    body = made.body or rng.choice(BAD_BODIES)
    return replace(made, body=body, headers=(*kept, (b"content-type", rng.choice(TYPES))))


def _broken_body(made: Case, route: Route, rng: random.Random) -> Case:
    body = bytearray(made.body or rng.choice(BAD_BODIES))
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(body) + 1)
        body[place : place + rng.randrange(3)] = rng.choice((b"", bytes([rng.randrange(256)]), *BAD_BODIES))
    return replace(made, body=bytes(body))


def _other_body(made: Case, route: Route, rng: random.Random) -> Case:
    return replace(made, body=rng.choice((*BAD_BODIES, *(value.encode() for value in VALUES))))


Spoil = Callable[[Case, Route, random.Random], Case]
SPOILING: tuple[Spoil, ...] = (
    _other_method, _name_in_path, _name_in_path, _shape_of_path, _bad_query, _another_header, _another_header,
    _many_headers, _another_authorization, _another_type, _broken_body, _other_body,
)  # fmt: skip


def _body(route: Route, rng: random.Random) -> bytes:
    """What the route takes, in most cases with one value exchanged for another."""
    if route.body is None:
        return b""
    text = json.dumps(route.body)
    values = list(VALUE.finditer(text))
    if not values or rng.random() < 0.25:
        return text.encode()
    spot = rng.choice(values)
    other = rng.choice(VALUES) if rng.random() < 0.8 else json.dumps(rng.choice(NASTY).decode("latin-1"))
    return (text[: spot.start()] + other + text[spot.end() :]).encode()


def _query(route: Route, rng: random.Random, *, spoilt: bool) -> bytes:
    parts = []
    for name in route.parameters:
        for _ in range(rng.choice((0, 0, 1, 2)) if spoilt else rng.choice((0, 0, 0, 1))):
            value = rng.choice(NASTY + NUMBERS) if spoilt else rng.choice(NAMES)
            escaped = rng.random() < 0.7
            parts.append(name.encode() + b"=" + (quote_from_bytes(value).encode() if escaped else value))
    if spoilt:
        parts += rng.choices(
            (b"%", b"%zz", b"a=%ff", b"=", b"&&", b"a[]=1", b"label=a", b"label=%3d", b"x=1"), k=1
        )
    return b"&".join(parts)


def wire(made: Case, seed: int) -> list[bytes]:
    """The case as bytes, in the pieces in which they come; some of them are spoilt as bytes, too."""
    rng = random.Random(f"{seed}:{made.number}:wire")
    version = b"1.1" if rng.random() < 0.95 else rng.choice((b"1.0", b"0.9", b"2.0", b"1.10", b"", b"\xff"))
    lines = [b"%s %s HTTP/%s" % (made.method.encode(), made.target, version)]
    lines += [name + b": " + value for name, value in made.headers]
    data = b"\r\n".join([*lines, b"", b""]) + made.body
    if rng.random() < 0.4:
        data = rng.choice(ON_THE_WIRE)(data, made, rng)
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _chunked(data: bytes, made: Case, rng: random.Random) -> bytes:
    """The body in chunks, most of them badly."""
    right = b"%x" % len(made.body)
    size = rng.choice(
        (right, right + b";a=b", b"0", b"-1", b"zz", b"f" * 17, b" 1", b"0x1", b"1;" + b"e" * 100_000)
    )
    end = rng.choice(
        (b"0\r\n\r\n", b"0\r\nauthorization: Bearer x\r\n\r\n", b"0\n\n", b"", b"0\r\nx\x00: y\r\n\r\n")
    )
    line_end = rng.choice((b"\r\n", b"\r\n", b"\n"))
    head = b"\r\n".join(line for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")
                        if rng.random() < 0.2 or not line.startswith(b"content-length"))  # fmt: skip
    return head + b"\r\ntransfer-encoding: chunked\r\n\r\n" + size + line_end + made.body + line_end + end


def _flipped(data: bytes, made: Case, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _inserted(data: bytes, made: Case, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    what = (
        b"\x00",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\r\n x",
        b"\xff",
        b"\x16\x03\x01",
        b"x" * 400_000,
    )
    return data[:place] + rng.choice(what) + data[place:]


ON_THE_WIRE: tuple[Callable[[bytes, Case, random.Random], bytes], ...] = (
    _chunked,
    _chunked,
    _flipped,
    _inserted,
    lambda data, made, rng: data[: rng.randrange(len(data) + 1)],
    lambda data, made, rng: data + data,
    lambda data, made, rng: data + b"rubbish\r\n\r\n",
    lambda data, made, rng: b"\r\n" * rng.randrange(1, 5) + data,
    lambda data, made, rng: data.replace(b"\r\n", b"\n"),
    lambda data, made, rng: data.replace(b": ", b" : ", 1),
    lambda data, made, rng: data.replace(b"\r\n", b"\r\n ", 2),
    lambda data, made, rng: rng.randbytes(rng.randrange(300)),
)
