"""The least that a proxy in Python can do: uvloop, httptools, kept connections, replicas in turn, and nothing else.

    python bench/support/bare_proxy.py ADDRESS…

No task, no authentication, no limits, no retries, no accounting, no errors. What it costs is the floor under the
gateway's cost; prints its address.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import httptools
import uvloop


class Upstream(asyncio.Protocol):
    """A connection to a replica, for one caller at a time."""

    def __init__(self, idle: list[Upstream]) -> None:
        self._idle = idle
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, data: bytes, caller: Any) -> None:
        self._caller = caller
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if not self._caller.is_closing():
            self._caller.write(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._idle.append(self)


class Caller(asyncio.Protocol):
    def __init__(self, addresses: itertools.cycle[tuple[str, int]], idle: list[Upstream]) -> None:
        self._addresses = addresses
        self._idle = idle
        self._parser = httptools.HttpRequestParser(self)
        self._received: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received.append(data)
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        data = b"".join(self._received)
        self._received.clear()
        if self._idle:
            self._idle.pop().send(data, self._transport)
        else:
            self._connecting = asyncio.ensure_future(self._connect(data))

    async def _connect(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self._idle), *next(self._addresses))
        upstream.send(data, self._transport)


async def serve(addresses: list[str]) -> None:
    places = itertools.cycle((host, int(port)) for host, port in (one.split(":") for one in addresses))
    idle: list[Upstream] = []
    server = await asyncio.get_running_loop().create_server(lambda: Caller(places, idle), "127.0.0.1", 0)
    print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1:]))
