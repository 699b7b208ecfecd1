"""One connection to the API: uvicorn's, with limits on heads and time, and refusals in the shape of all errors.

Uvicorn leaves these to a proxy in front of it: it waits for ever for the rest of a request, sets no limit to a head,
answers what is not HTTP in plain text, and takes trailers for headers.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelhall.core.errors import HallError, Rejected
from modelhall.core.request_head import HEAD_BYTES, HEADERS, check_framing, check_headers, split_target
from modelhall.doors.api.answers import error_response

HEAD_S = 10.0
"""A head must have arrived whole within this, after its first byte or after the connection was made."""
BODY_S = 60.0
"""A body must have arrived whole within this: for the largest that is taken, some 140 kB a second."""
LINGER_S, MOST_LINGER_S = 2.0, 30.0
"""How long a refused caller who goes on sending is listened to, after each piece and at most, so that it reads why
before the connection breaks."""
READ_BYTES = 256 * 1024
"""As much as one read may bring, of which only the end may belong to the head that is being read."""


class Connection(HttpToolsProtocol):
    """Given to uvicorn in place of its own (`http=Connection`)."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.parser = httptools.HttpRequestParser(self)  # uvicorn's own has leniencies
        self._in_head = True
        self._head_bytes = 0
        self._in_body = False
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False
        self._last_word: HallError | None = None
        """What is wrong with what came after requests that are still to be answered."""
        self._hung_up_at: float | None = None

    # From the socket.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect("the head", HEAD_S)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._listen_on()
            return
        super().data_received(data)
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES + READ_BYTES:
                self._refuse(_too_large())
        elif self._deadline is None and self.cycle.response_complete:
            # Only line ends came, which begin no request, and stop uvicorn's clock.
            self._expect("the head", HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    # From the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._expect("the head", HEAD_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, of which nothing here has a use
        if len(self.headers) >= HEADERS:
            raise Rejected(f"the request has more than {HEADERS} headers", status=431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        path, query = self._checked()
        # Uvicorn parses the target a second time, and finds one that can be read in no second way.
        self.url = path + b"?" + query if query else path
        self._in_body = True
        self._expect("the body", BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._expect_nothing()
        super().on_message_complete()

    def _checked(self) -> tuple[bytes, bytes]:
        """The path and query asked for; raises Rejected for what is not to be read any further."""
        if len(self.url) > HEAD_BYTES:
            raise _too_large()
        check_headers(self.headers)
        headers = dict(self.headers)
        host = headers.get(b"host")
        check_framing(self.parser.get_http_version(), host, headers.get(b"transfer-encoding"))
        if self.parser.should_upgrade():
            raise Rejected("HTTP/1.1 is all there is here: send the request without `Upgrade`")
        return split_target(self.url, host)

    # From uvicorn.

    def send_400_response(self, msg: str) -> None:
        raised = sys.exception()  # it is called where the parser's error is handled
        ours = raised.__context__ if raised else None
        theirs = Rejected(f"this is not valid HTTP/1.1: {raised or msg}")
        self._refuse(ours if isinstance(ours, HallError) else theirs)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.cycle.response_complete:
            return
        if self._last_word is not None:
            self._part_with(self._last_word)
        elif self._in_body:
            self._hang_up()  # it was answered before all of it was here, and the rest is not wanted

    # Time, and the end.

    def _expect(self, what: str, within_s: float) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(within_s, self._give_up, what, within_s)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self, what: str, within_s: float) -> None:
        if self._in_body or (self._in_head and self._head_bytes):
            self._refuse(Rejected(f"{what} did not arrive within {within_s:g} s", status=408))
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, error: HallError) -> None:
        """Read no further, and say why, in its turn."""
        self._refused = True
        self._expect_nothing()
        busy = self.cycle is not None and not self.cycle.response_complete
        if busy and not self._in_body:
            self._last_word = error
        elif busy and (self.pipeline or self.cycle.response_started):
            self.transport.close()  # whatever was said now would be taken for a part of another answer
        else:
            if busy:
                self.cycle.disconnected = True  # nothing that its route still says is sent
                self.cycle.message_event.set()
            self._part_with(error)

    def _part_with(self, error: HallError) -> None:
        """Answer with the error, and close."""
        if self.transport.is_closing():
            return
        response = error_response(error)
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)]))
        self._hang_up()

    def _hang_up(self) -> None:
        """Close; only our side at first, since a caller who is cut off while it sends does not read what we said."""
        self._refused = True
        self._expect_nothing()
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._hung_up_at = self.loop.time()
            self._listen_on()
        else:
            self.transport.close()

    def _listen_on(self) -> None:
        """Have the connection broken when its caller, who was told why, is silent or does not end."""
        if self._hung_up_at is None:
            return
        self._expect_nothing()
        left = self._hung_up_at + MOST_LINGER_S - self.loop.time()
        self._deadline = self.loop.call_later(min(LINGER_S, left), self.transport.abort)


def _too_large() -> Rejected:
    return Rejected(f"the head is larger than {HEAD_BYTES} bytes", status=431)
