"""A replica that tells texts token by token, emulated, to be killed, hung and cut: it speaks OpenAI's completions.

    python bench/support/telling_replica.py PORT

What follows a prompt depends on the prompt alone, as at temperature 0. SIGUSR1 makes it break all its connections.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from hashlib import blake2b

import uvloop
from mock_replica import Connection, chunk, whole

TOKENS = 16
TOKEN_S = 0.005
WORDS = ("sun", "rain", "wind", "snow", "mist", "dawn", "dusk", "frost")


def text_after(prompt: str, tokens: int = TOKENS) -> list[str]:
    """The tokens that follow a prompt."""
    return [
        f" {WORDS[blake2b(f'{prompt}{place}'.encode(), digest_size=1).digest()[0] % len(WORDS)]}{place}"
        for place in range(tokens)
    ]


class TellingReplica(Connection):
    open: set[TellingReplica] = set()  # noqa: RUF012 - all there are in this process

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.open.discard(self)

    def cut(self) -> None:
        self._transport.abort()

    def answer(self, target: bytes, body: bytes) -> None:
        if not target.endswith(b"/completions"):
            super().answer(target, body)
            return
        asked = json.loads(body)
        told = text_after(asked["prompt"])
        if asked.get("stream"):
            resumed = asked.get("resume", {}).get("text", "").count(" ")
            self.write(HEAD)
            self._later(told, resumed)
        else:
            choice = {"index": 0, "text": "".join(told), "finish_reason": "stop"}
            answer = whole(json.dumps({"id": "c", "object": "text_completion", "choices": [choice]}).encode())
            asyncio.get_running_loop().call_later(TOKEN_S * len(told), self.write, answer)

    def _tell(self, told: list[str], place: int) -> None:
        ends = place == len(told) - 1
        choice = {"index": 0, "text": told[place], "finish_reason": "stop" if ends else None}
        event = {"id": f"c-{id(self)}", "object": "text_completion", "choices": [choice]}
        self.write(chunk(b"data: " + json.dumps(event).encode() + b"\n\n"))
        if ends:
            self.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        else:
            self._later(told, place + 1)

    def _later(self, told: list[str], place: int) -> None:
        asyncio.get_running_loop().call_later(TOKEN_S, self._tell, told, place)


HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\nx-hall-resumes: 1\r\n\r\n"
)


def cut_all() -> None:
    for connection in list(TellingReplica.open):
        connection.cut()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, cut_all)
    server = await loop.create_server(TellingReplica, "127.0.0.1", port)
    print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
