"""Bytes of a replica to its replies: by the parser, or without it where a reply begins as the one before."""

from __future__ import annotations

import httptools

from modelhall.gateway.reply import WEIGHT, Reply, ReplyHead, seconds
from modelhall.gateway.same_head import SameHead, is_length, is_seconds, remember

_LENGTH = b"content-length"
_NUMBERS = {_LENGTH: is_length, WEIGHT: is_seconds}
"""In which the heads of replies differ."""
_WITHOUT_BODY = (204, 304)


class ReplyReader:
    """Reads what comes by one connection, one reply at a time."""

    def __init__(self) -> None:
        self.until_close = True
        """Whether only the end of the connection tells where the body ends."""
        self.can_go_on = True
        """Whether the connection can be used again after the reply that has ended."""
        self._parser = httptools.HttpResponseParser(self)
        self._reply: Reply | None = None
        """The one that is being read; None when it has ended."""
        self._now = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._lines = 0
        self._interim = False
        """Whether what is being read is a 1xx answer, which announces the real one."""
        self._left_bytes = 0
        """As much of the body is still to come of a reply whose head the parser did not have to read."""
        self._same: SameHead[ReplyHead] | None = None
        self._begins = b""
        """What the parser was fed first of this reply, if it was all of its head."""

    def feed(self, data: bytes, reply: Reply, now: float) -> bool:
        """More of a reply has come; return whether that was its end. Raises HttpParserError and HttpParserUpgrade."""
        if self._left_bytes:
            return self._go_on(data, 0, reply)
        if reply is not self._reply:
            if found := self._same and self._same.match(data):
                return self._begin(data, *found, reply, now)
            self._reply, self._begins = reply, data
            self.until_close = True
        else:
            self._begins = b""
        self._now = now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._reply is not None:
                raise
            self.can_go_on = False  # the reply was well, and what came behind it was not asked for
        return self._reply is None

    def _begin(self, data: bytes, start: int, numbers: dict[bytes, bytes], reply: Reply, now: float) -> bool:
        """Take the body of a reply whose head is known."""
        assert self._same is not None
        reply.begin(self._same.head, now)
        reply.length = self._left_bytes = int(numbers[_LENGTH])
        if WEIGHT in numbers:
            reply.weight_s = seconds(numbers[WEIGHT])
        self.until_close = False
        return self._go_on(data, start, reply)

    def _go_on(self, data: bytes, start: int, reply: Reply) -> bool:
        """Take as much as belongs to this reply; behind it nothing may come."""
        left_bytes = self._left_bytes
        piece = data[start : start + left_bytes]
        if piece:
            reply.feed(piece)
        self._left_bytes = left_bytes = left_bytes - len(piece)
        self.can_go_on = start + len(piece) == len(data)
        return not left_bytes

    # Called by the parser, in this order.

    def on_message_begin(self) -> None:
        if self._reply is None:
            raise ValueError("more than was asked for")
        self._headers = []
        self._lines = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        reply = self._reply
        if reply is None or reply.head is not None:
            return  # a trailer
        self._lines += 1
        name = name.lower()
        if name == _LENGTH:
            reply.length = int(value)
            self.until_close = False
        elif name == b"transfer-encoding":
            self.until_close = False
            self._begins = b""
        elif name == WEIGHT:
            reply.weight_s = seconds(value)
        else:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        reply = self._reply
        assert reply is not None
        status = self._parser.get_status_code()
        self._interim = status < 200
        if self._interim:
            self._begins = b""
            return
        head = ReplyHead(status, tuple(self._headers))
        reply.begin(head, self._now)
        if self._begins and status not in _WITHOUT_BODY and self._parser.should_keep_alive():
            self._same = remember(self._begins, head, self._lines, _NUMBERS)

    def on_body(self, chunk: bytes) -> None:
        assert self._reply is not None
        self._reply.feed(chunk)

    def on_message_complete(self) -> None:
        if not self._interim:
            self._reply = None
            self.can_go_on = self._parser.should_keep_alive()
