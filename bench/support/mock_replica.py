"""Replicas that cost nothing, in a process of their own: they speak OpenAI's protocol and answer at once.

    python bench/support/mock_replica.py [COUNT]

They look at no more than the length of a request and at whether it wants a stream, so that they are not what limits
the router in front of them. Each prints its address. Other replicas that are emulated build on them.
"""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

MODEL = "mock"
END = b'"usage":{"prompt_tokens":10,"completion_tokens":16,"total_tokens":26}}'
EVENTS = 16
EVENT_EVERY_S = 0.002


class Connection(asyncio.Protocol):
    """One connection of a router: what it asks, whole; requests are expected one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = bytearray()
        self._left = -1
        """Bytes of body that are still to come; -1 while a head is."""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._left < 0 or len(self._received) >= self._left:
            if self._left < 0:
                if not self._read_head():
                    return
                continue
            body = bytes(self._received[: self._left])
            del self._received[: self._left]
            self._left = -1
            self.answer(self._target.partition(b"?")[0], body)

    def answer(self, target: bytes, body: bytes) -> None:
        """Answer a request; here, what is asked about the replica itself."""
        self.write(KNOWN.get(target, NOTHING))

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        self._target = head.split(b" ", 2)[1]
        _, _, length = head.lower().partition(b"content-length:")
        self._left = int(length.split(b"\r\n")[0] or 0)
        return True


class MockReplica(Connection):
    """Answers at once, having looked at no more than whether a stream is wanted."""

    def answer(self, target: bytes, body: bytes) -> None:
        if b'"stream": true' in body or b'"stream":true' in body:
            self.write(STREAM_HEAD)
            self._event(EVENTS)
        elif target.endswith((b"/completions", b"/infer")):
            self.write(ANSWER)
        else:
            super().answer(target, body)

    def _event(self, left: int) -> None:
        """Send one event after the other, at the pace of a fast model."""
        if left:
            self.write(EVENT)
            asyncio.get_running_loop().call_later(EVENT_EVERY_S, self._event, left - 1)
        else:
            self.write(DONE)


def whole(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nx-hall-compute-s: 0.0001\r\n" % status + (
        b"content-length: %d\r\n\r\n" % len(body) + body
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_ABOUT = b'"id":"chatcmpl-1","created":1700000000,"model":"mock",'
ANSWER = whole(
    b'{"object":"chat.completion",' + _ABOUT + b'"choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"' + b"word " * 16 + b'"}}],' + END
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = chunk(
    b'data: {"object":"chat.completion.chunk",' + _ABOUT + b'"choices":[{"index":0,"finish_reason":null,'
    b'"delta":{"role":"assistant","content":"word "}}]}\n\n'
)
DONE = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
KNOWN = {
    b"/health": whole(b"{}"),
    b"/v2/health/ready": whole(b"{}"),
    b"/v1/models": whole(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()),
    b"/get_model_info": whole(json.dumps({"model_path": MODEL, "is_generation": True}).encode()),
    b"/model_info": whole(json.dumps({"model_path": MODEL, "is_generation": True}).encode()),
    b"/get_server_info": whole(json.dumps({"model_path": MODEL, "served_model_name": MODEL}).encode()),
    b"/server_info": whole(json.dumps({"model_path": MODEL, "served_model_name": MODEL}).encode()),
}
"""What routers ask a replica about itself."""
NOTHING = whole(b"{}", b"404 Not Found")


async def serve(count: int) -> None:
    servers = [
        await asyncio.get_running_loop().create_server(MockReplica, "127.0.0.1", 0) for _ in range(count)
    ]
    for server in servers:
        print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
