"""Callers and replicas for the gateway's tests: real sockets, and a will of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from modelhall.core.access import VERBS_OF, Identity
from modelhall.core.errors import Denied
from modelhall.core.kinds.adapter import Served
from modelhall.core.kinds.service import Replica, Service, ServiceResource, ServiceStatus

TOKENS = {b"Bearer alpha": "default", b"Bearer beta": "other"}
VERSION = "3f2a9c00"


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def authenticate(header: bytes | None) -> Identity:
    if header not in TOKENS:
        raise Denied("show a token", status=401)
    project = TOKENS[header]
    everywhere = frozenset({"operate"} if project == "default" else ())
    return Identity(
        name=f"token {project}/x",
        project=project,
        grants={project: VERBS_OF["editor"]},
        everywhere=everywhere,
    )


class Seen(NamedTuple):
    """A request as a replica saw it."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def well(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer, saying what the request was worth."""
    writer.write(http(b'{"outputs": []}', "content-type: application/json", "x-hall-compute-s: 0.25"))


async def silently(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def breaking(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Break the connection instead of answering."""
    writer.transport.abort()


async def breaking_in_the_middle(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer half, then break the connection."""
    writer.write(http(b"x" * 1000)[:-500])
    await writer.drain()
    writer.close()


def answering(status: str, body: bytes = b"{}", *headers: str) -> Behaviour:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(http(body, *headers, status=status))

    return behave


@dataclass
class StandIn:
    """A replica that does what it is told, and remembers what it was asked."""

    name: str
    behave: Behaviour = well
    ready: bool = True
    version: str = VERSION
    release: str = ""
    number: int | None = None
    adapters: dict[str, Served] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    gone: int = 0
    """Requests whose connection ended while they were being answered."""
    connections: int = 0
    address: str = ""

    async def start(self) -> StandIn:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    def hang_up(self) -> None:
        """End all connections, but go on listening."""
        for writer in self._writers:
            writer.close()

    def die(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def replica(self) -> Replica:
        return Replica(
            run=self.name,
            uid=self.name,
            version=self.version,
            release=self.release,
            number=self.number,
            adapters=self.adapters,
            state="ready",
            address=self.address,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while seen := await _read(reader):
                if seen.line.startswith("GET /v2/health/ready"):
                    writer.write(http(b"{}", status="200 OK" if self.ready else "503 No"))
                    continue
                self.seen.append(seen)
                await self._answer(seen, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer, unless the connection ends before."""
        answer = asyncio.ensure_future(self.behave(seen, writer))
        ended = asyncio.ensure_future(_until_end(reader))
        await asyncio.wait((answer, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if ended.done():
            answer.cancel()
            self.gone += 1
            raise ConnectionError
        await answer


async def _until_end(reader: asyncio.StreamReader) -> None:
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.005)


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(head[0], headers, body)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return json.loads(self.body)["error"]


class Caller:
    """One connection to the gateway, byte by byte if need be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next answer; raises IncompleteReadError when the connection ends before."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while length := int(await self.reader.readuntil(b"\n"), 16):
                body += (await self.reader.readexactly(length + 2))[:-2]
            await self.reader.readexactly(2)
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(lines[0].split()[1]), headers, body)

    async def ended(self) -> bool:
        """Wait for the other side to end the connection; return whether it did so without a word."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


def request(
    path: str = "/v2/models/digits/infer", body: bytes = b"{}", *headers: str, method: str = "POST"
) -> bytes:
    """A request as a friendly caller sends it."""
    lines = [f"{method} {path} HTTP/1.1", "host: hall", "authorization: Bearer alpha", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def service(
    *replicas: StandIn, name: str = "digits", project: str = "default", status: Any = None, **document
) -> ServiceResource:
    """A service with these replicas, which are ready; `status` is what else there is to its status."""
    return ServiceResource(
        document=Service(
            **{"name": name, "project": project, "model": "digits", "try_timeout_s": 1.0, "queue_timeout_s": 1.0}
            | document
        ),
        status=ServiceStatus(
            **{"version": VERSION, "replicas": tuple(one.replica for one in replicas)} | (status or {})
        ),
        uid=name,
        created_at=0.0,
        updated_at=0.0,
    )  # fmt: skip


async def eventually(true: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)
