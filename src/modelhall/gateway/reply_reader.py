"""Bytes of a replica to its replies, one at a time."""

from __future__ import annotations

from functools import lru_cache

import httptools

from modelhall.gateway.messages import Headers
from modelhall.gateway.reply import WEIGHT, Reply, ReplyHead, seconds


class ReplyReader:
    """Reads what comes by one connection. Whether it holds, `upstream.py` decides."""

    def __init__(self) -> None:
        self.until_close = True
        """Whether only the end of the connection tells where the body ends."""
        self.can_go_on = True
        """Whether the connection can be used again after the reply that has ended."""
        self._parser = httptools.HttpResponseParser(self)
        self._reply: Reply | None = None
        """The one that is being read."""
        self._ended = False
        self._now = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._interim = False
        """Whether what is being read is a 1xx answer, which announces the real one."""

    def feed(self, data: bytes, reply: Reply, now: float) -> bool:
        """More of a reply has come; return whether that was its end. Raises HttpParserError and HttpParserUpgrade."""
        if reply is not self._reply:
            self._reply = reply
            self._ended = False
            self.until_close = True
        self._now = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._ended:
                raise
            self.can_go_on = False  # the reply was well, and what came behind it was not asked for
        return self._ended

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        if self._ended:
            raise ValueError("more than was asked for")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        reply = self._reply
        if reply is None or reply.head is not None:
            return  # a trailer
        name = name.lower()
        if name == b"content-length":
            reply.length = int(value)
            self.until_close = False
        elif name == b"transfer-encoding":
            self.until_close = False
        elif name == WEIGHT:
            reply.weight_s = seconds(value)
        else:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._reply is not None
        status = self._parser.get_status_code()
        self._interim = status < 200
        if not self._interim:
            self._reply.begin(_head(status, tuple(self._headers)), self._now)

    def on_body(self, chunk: bytes) -> None:
        assert self._reply is not None
        self._reply.feed(chunk)

    def on_message_complete(self) -> None:
        if not self._interim:
            self._ended = True
            self.can_go_on = self._parser.should_keep_alive()


@lru_cache(maxsize=1024)
def _head(status: int, headers: Headers) -> ReplyHead:
    """What is known of a beginning; many replies have the same."""
    return ReplyHead(status, headers)
