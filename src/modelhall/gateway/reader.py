"""Bytes to requests, within limits. What is ambiguous is refused, never guessed.

Two servers in a row that read one stream of bytes differently can be made to mix up callers (request
smuggling). So there is one strict reading, llhttp's without leniency; what it leaves open is closed here, by the
rules of `core/request_head.py`, which the API keeps too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httptools

from modelhall.core.errors import HallError, Rejected
from modelhall.core.request_head import HEAD_BYTES, HEADERS, SINGLE, check_framing, repeated, split_target
from modelhall.gateway.messages import Head, Outlet, Request
from modelhall.gateway.same_head import SameHead, remember


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The largest request that is read."""

    head_bytes: int = HEAD_BYTES
    headers: int = HEADERS
    body_bytes: int = 64 * 1024 * 1024


class RequestReader:
    """Reads what one caller sends and hands on each request as soon as its head is complete."""

    def __init__(
        self, sizes: Sizes, new_id: Callable[[], str], outlet: Outlet, take: Callable[[Request], None]
    ) -> None:
        self.in_head = False
        """Whether a head has begun and is not complete."""
        self.begun = 0
        """How many heads have begun that the parser had to read."""
        self.open: Request | None = None
        """The request whose body is arriving."""
        self._sizes = sizes
        self._new_id = new_id
        self._outlet = outlet
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        self.target = b""
        """Of the request whose head was read last, as far as it is known."""
        self._headers: dict[bytes, bytes] = {}
        self._lines = 0
        self._unfinished_bytes = 0
        self._same: SameHead | None = None
        self._begins = b""
        """What the parser was fed first of the request it reads, if it was fed nothing else before."""
        self._left_bytes = 0
        """As much of the body of a request is still to come whose head the parser did not have to read."""

    def feed(self, data: bytes) -> None:
        """Read on; raises Rejected when no sense can be made of it, after which nothing more can be read."""
        if self._left_bytes:
            data = self._go_on(data)
        while data and self.open is None and not self.in_head:
            found = self._same and self._same.match(data)
            if not found:
                break
            start, length = found
            data = self._begin(data, start, length)
        if data:
            self._parse(data)

    def _begin(self, data: bytes, start: int, length: int) -> bytes:
        """Take a request whose head is known; return what follows it."""
        assert self._same is not None
        self._check_length(length)
        request = Request(id=self._new_id(), head=self._same.head, outlet=self._outlet)
        self.open, self._left_bytes = request, length
        self._take(request)
        return self._go_on(data[start:])

    def _go_on(self, data: bytes) -> bytes:
        """Take as much as belongs to the open request; return what follows it."""
        request = self.open
        assert request is not None
        piece = data if len(data) <= self._left_bytes else data[: self._left_bytes]
        if piece:
            request.feed(piece)
            self._left_bytes -= len(piece)
        if not self._left_bytes:
            self.open = None
            request.end()
        return data[len(piece) :]

    def _parse(self, data: bytes) -> None:
        if self.in_head or self.open:
            self._unfinished_bytes += len(data)
            self._begins = b""
        else:
            self._begins = data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, HallError):
                raise error.__context__ from None  # what a callback below has raised
            raise Rejected(f"this is not valid HTTP/1.1: {error}") from None
        if self._unfinished_bytes:
            self._check_padding()

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        self.in_head = True
        self.begun += 1
        self.target = b""
        self._headers = {}
        self._lines = 0
        self._unfinished_bytes = 0

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._headers
        name = name.lower()
        self._lines += 1
        if name in headers:
            if name in SINGLE and self.in_head:
                raise repeated(name)
            value = headers[name] + b", " + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        head = self._read_head()
        self.in_head = False
        self._unfinished_bytes = 0
        if self._begins:
            self._same = remember(self._begins, head, self._lines)
            self._begins = b""
        self._headers = {}  # for trailers, of which nothing here has a use
        self.open = Request(id=self._new_id(), head=head, outlet=self._outlet)
        self._take(self.open)

    def on_body(self, chunk: bytes) -> None:
        if self.open is not None:
            self._check_length(self.open.size_bytes + len(chunk))
            self.open.feed(chunk)

    def on_message_complete(self) -> None:
        self._unfinished_bytes = 0
        if self.open is not None:
            self.open.end()
            self.open = None

    def _read_head(self) -> Head:
        parser, headers = self._parser, self._headers
        version = parser.get_http_version()
        self._check_head_size()
        host = headers.get(b"host")
        check_framing(version, host, headers.get(b"transfer-encoding"))
        if parser.should_upgrade():
            raise Rejected("HTTP/1.1 is all there is here: send the request without `Upgrade`")
        path, _ = split_target(self.target, host)
        self._check_length(int(headers.pop(b"content-length", 0)))
        return Head(
            method=parser.get_method(),
            path=path,
            version=version,
            headers=headers,
            keep_alive=parser.should_keep_alive() and version == "1.1",
        )

    def _check_head_size(self) -> None:
        headers, sizes = self._headers, self._sizes
        if len(headers) > sizes.headers:
            raise Rejected(f"the request has more than {sizes.headers} headers", status=431)
        if len(self.target) + sum(map(len, headers)) + sum(map(len, headers.values())) > sizes.head_bytes:
            raise Rejected(f"the head is larger than {sizes.head_bytes} bytes", status=431)

    def _check_length(self, size_bytes: int) -> None:
        if size_bytes > self._sizes.body_bytes:
            raise Rejected(f"the body is larger than {self._sizes.body_bytes} bytes", status=413)

    def _check_padding(self) -> None:
        """Bound what the parser takes in without a word: an endless header, trailer or chunk extension."""
        allowed = self._sizes.head_bytes
        if self.in_head and self._unfinished_bytes > allowed:
            raise Rejected(f"the head is larger than {allowed} bytes", status=431)
        if self.open and self._unfinished_bytes > allowed + 8 * self.open.size_bytes:
            raise Rejected("the body is mostly padding between its chunks", status=413)
