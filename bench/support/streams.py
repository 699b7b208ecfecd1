"""Callers who have texts told as streams, and how quickly those came."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PROMPT_TOKENS = 32


class Told(NamedTuple):
    """What came of some texts told at once."""

    tokens_s: float
    first_ms: float


def prompts(many: int) -> list[list[int]]:
    """Other ones each time: nothing is to be found in a cache of prefixes."""
    chance = random.Random(time.time_ns())
    return [[chance.randrange(1, 250) for _ in range(PROMPT_TOKENS)] for _ in range(many)]


async def ask(address: str, headers: str, model: str, many: int, tokens: int) -> Told:
    """`many` streams of as many `tokens` that begin together."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    callers = [Caller(address, headers, model, prompt, tokens) for prompt in prompts(many)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, host, int(port))
    begun = time.perf_counter()
    for caller in callers:
        caller.ask()
    await asyncio.gather(*(caller.done for caller in callers))
    took_s = time.perf_counter() - begun
    first_s = statistics.median(caller.first_at - begun for caller in callers)
    for caller in callers:
        caller.close()
    return Told(many * tokens / took_s, first_s * 1000)


@dataclass
class Caller(asyncio.Protocol):
    """One stream. It reads no more than its end, so that reading costs the machine next to nothing."""

    address: str
    headers: str
    model: str
    prompt: list[int]
    tokens: int
    first_at: float = 0.0
    tail: bytes = b""
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def ask(self) -> None:
        body = json.dumps({"model": self.model, "prompt": self.prompt, "max_tokens": self.tokens, "temperature": 0,
                           "ignore_eos": True, "stream": True})  # fmt: skip
        self._transport.write(
            f"POST /v1/completions HTTP/1.1\r\nhost: {self.address}\r\n{self.headers}"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.tail and b" 200 " not in data[:20]:
            self.done.set_exception(RuntimeError(data.decode(errors="replace")))
            return
        if not self.first_at and b"data: {" in data:
            self.first_at = time.perf_counter()
        self.tail = (self.tail + data)[-200:]
        if b"[DONE]" in self.tail and not self.done.done():
            told = int(self.tail.rsplit(b"\n: ", 1)[1].split()[1])
            assert told == self.tokens, f"{told} tokens of {self.tokens}"
            self.done.set_result(None)

    def close(self) -> None:
        self._transport.close()
