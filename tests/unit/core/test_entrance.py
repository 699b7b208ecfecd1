"""The way in from the network, over real sockets: who is let in, and how TLS begins."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelhall.core import entrance
from modelhall.core.entrance import NOT_TLS, bind, enter
from modelhall.core.errors import Rejected
from modelhall.trust import tls
from modelhall.trust.certificates import make

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


class Echo(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


@pytest.fixture
def echo() -> type[Echo]:
    return type("FreshEcho", (Echo,), {})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make(folder, [], time.time())
    return folder


@asynccontextmanager
async def entered(echo: type[Echo], **more: Any) -> AsyncIterator[tuple[str, int]]:
    listening = bind("127.0.0.1", 0)
    address = listening.getsockname()
    way_in = await enter(listening, echo, **more)
    try:
        yield address
    finally:
        way_in.close()


def serving(folder: Path) -> ssl.SSLContext:
    return tls.server_context(folder / tls.SERVER, folder / tls.SERVER_KEY)


async def test_who_comes_is_handed_to_a_protocol(echo: type[Echo]) -> None:
    async with entered(echo) as address:
        for _ in range(100):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
        assert echo.made == 100


async def test_who_may_not_come_is_turned_away_before_a_byte_is_read(
    echo: type[Echo], certificates: Path
) -> None:
    asked: list[str] = []

    def nobody(address: str) -> bool:
        asked.append(address)
        return False

    for speaks in (None, serving(certificates)):
        async with entered(echo, lets_in=nobody, tls=speaks) as address:
            reader, writer = await asyncio.open_connection(*address)
            assert await reader.read() == b""
            writer.close()
    assert asked == ["127.0.0.1", "127.0.0.1"]
    assert echo.made == 0


async def test_tls_is_spoken_with_those_who_speak_it(echo: type[Echo], certificates: Path) -> None:
    client = tls.client_context(certificates / tls.CA)
    async with entered(echo, tls=serving(certificates)) as address:
        reader, writer = await asyncio.open_connection(*address, ssl=client)
        writer.write(b"x" * 100_000)
        assert await reader.readexactly(100_000) == b"x" * 100_000
        writer.close()


async def test_plain_http_on_a_tls_port_is_told_what_would_do(echo: type[Echo], certificates: Path) -> None:
    async with entered(echo, tls=serving(certificates)) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert await reader.read() == NOT_TLS
        writer.close()
    assert echo.made == 0


async def test_rubbish_silence_and_those_who_hang_up_keep_nobody_out(
    echo: type[Echo], certificates: Path
) -> None:
    async with entered(echo, tls=serving(certificates)) as address:
        rubbish = []
        for data in (b"\x16\x03\x01\xff\xff" + b"\xff" * 300, b"\x16", b""):
            _, writer = await asyncio.open_connection(*address)
            writer.write(data)
            rubbish.append(writer)
        _, writer = await asyncio.open_connection(*address)
        writer.transport.abort()
        await test_tls_is_spoken_with_those_who_speak_it(echo, certificates)
        reader, writer = await asyncio.open_connection(
            *address, ssl=tls.client_context(certificates / tls.CA)
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        for one in (*rubbish, writer):
            one.close()


async def test_too_many_unfinished_handshakes_wait_and_are_served_when_there_is_room(
    echo: type[Echo], certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance, "MOST_HANDSHAKES", 3)
    async with entered(echo, tls=serving(certificates)) as address:
        silent = [(await asyncio.open_connection(*address))[1] for _ in range(3)]
        honest = asyncio.create_task(
            asyncio.open_connection(*address, ssl=tls.client_context(certificates / tls.CA))
        )
        await asyncio.wait([honest], timeout=0.05)
        assert not honest.done()
        silent[0].close()
        async with asyncio.timeout(10):
            _, writer = await honest
        for one in (*silent, writer):
            one.close()


async def test_an_address_that_is_in_use_or_not_ours_is_refused() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(Rejected, match="is in use"):
        bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(Rejected, match="cannot be had"):
        bind("192.0.2.1", 0)


async def test_a_closed_entrance_accepts_nobody_and_keeps_who_is_in(echo: type[Echo]) -> None:
    listening = bind("127.0.0.1", 0)
    address = listening.getsockname()
    way_in = await enter(listening, echo)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"a")
    assert await reader.readexactly(1) == b"a"
    way_in.close()
    with pytest.raises(OSError), socket.create_connection(address):
        pass
    writer.write(b"b")
    assert await reader.readexactly(1) == b"b"
    writer.close()
