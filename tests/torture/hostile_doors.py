"""The doors that strangers knock at, in this process: API, gateway, replica. Each takes a case and gives its answers.

The API is called as a server calls it, and also through its own connection; the gateway is fed bytes; both without
sockets. Behind the gateway stands a replica on loopback whose network adds numbers; it is knocked at directly, too.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import uvicorn
from fastapi.routing import iter_route_contexts
from hostile_requests import (
    APPLICATION,
    BATCH,
    CHAT,
    COMPLETION,
    EMBEDDINGS,
    INFERENCE,
    Case,
    Route,
    case,
    wire,
)
from uvicorn.server import ServerState

from modelhall import settings
from modelhall.adapters.store.memory import MemoryStore
from modelhall.app.shelf import FolderShelf
from modelhall.core.ports.store import Put
from modelhall.doors.api.connection import Connection
from modelhall.gateway.caller import CallerConnection
from modelhall.gateway.gateway import Gateway
from modelhall.gateway.limits import Limits, Room
from modelhall.serving.app import app_for
from modelhall.serving.batcher import Batcher
from modelhall.serving.engines import Sampling, Token
from modelhall.serving.generation.chat import ChatTemplate
from modelhall.serving.generation.http import Generation
from modelhall.serving.generation.planned import Teller
from modelhall.serving.generation.worker import Worker
from modelhall.tasks import Tensor, _byte_pairs

sys.path += [str(Path(__file__).parents[1] / "unit" / room) for room in ("doors", "gateway")]
from a_hall import a_hall
from stand_ins import Clock, StandIn, authenticate, service

PATIENCE_S = 20.0
TURNS = 100
"""So many turns of the loop somebody has who may answer a body that never comes to its end."""
GATEWAY_TOKEN = b"alpha"
BODIES = {"/api/v1/apply": APPLICATION}
API_ERROR = {"message", "who", "field", "document"}
OPENAI_ERROR = {"message", "type", "param", "code"}


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


@dataclass
class Tally:
    """What came of the cases so far."""

    cases: int = 0
    server_errors: list[str] = field(default_factory=list)
    unstructured: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Door:
    name: str
    routes: Sequence[Route]
    token: bytes
    ask: Callable[[Case, int], Any]
    """Case, seed → its answers, awaited."""
    is_error: Callable[[Any], bool]
    """Whether parsed JSON is an error in this door's shape."""


async def knock(door: Door, seed: int, numbers: Iterable[int], tally: Tally) -> None:
    """Send the cases with these numbers, one after the other, and judge what is answered."""
    for number in numbers:
        made = case(door.routes, seed, number, door.token)
        async with asyncio.timeout(PATIENCE_S):
            answers = await door.ask(made, seed)
        tally.cases += 1
        for answer in answers:
            tally.statuses[answer.status] += 1
            asked = f"{door.name}, seed {seed}, case {number}: {made.method} {made.target[:80]!r}"
            told = f"{asked} → {answer.status} {answer.body[:200]!r}"
            # That something honestly is not there yet, such as a replica, is no mistake if it says when to come.
            is_late = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and b"retry-after" in answer.headers
            if answer.status >= 500 and not is_late:
                tally.server_errors.append(told)
            if answer.status >= 400 and made.method != "HEAD" and not _structured(door, answer):
                tally.unstructured.append(told)


@asynccontextmanager
async def doors(home: Path) -> AsyncIterator[list[Door]]:
    """All of them, for as long as they are knocked at."""
    async with AsyncExitStack() as held:
        hall, api = await held.enter_async_context(a_hall(home))
        token = hall.token.encode()
        routes = list(routes_of(api))
        routes += [route for route in routes if route.body] * 6  # there is most to spoil
        replica = _replica()
        gateway = await held.enter_async_context(_gateway(replica, home / "gateway"))
        asked = Door(
            name="api",
            routes=routes,
            token=token,
            ask=lambda made, _: _asgi(api, made),
            is_error=_is_api_error,
        )
        yield [
            asked,
            Door(name="api wire", routes=routes, token=token, ask=_through(api), is_error=_is_api_error),
            Door(name="gateway", routes=GATEWAY_ROUTES, token=GATEWAY_TOKEN, ask=gateway,
                 is_error=_is_error_of_a_protocol),
            Door(name="replica", routes=REPLICA_ROUTES, token=b"x", ask=lambda made, _: _asgi(replica, made),
                 is_error=_is_error_of_a_protocol),
        ]  # fmt: skip


def routes_of(api: Any) -> Iterator[Route]:
    """Every route there is, found by walking."""
    for found in iter_route_contexts(api.routes):
        dependant = getattr(found.original_route, "dependant", None)
        names = tuple(_parameters(dependant)) if dependant else ()
        for method in found.methods or ():
            yield Route(method=method, path=found.path, parameters=names, body=BODIES.get(found.path))


def _parameters(dependant: Any) -> Iterator[str]:
    for one in (dependant, *dependant.dependencies):
        yield from (parameter.alias for parameter in one.query_params)


REPLICA_ROUTES = [
    Route(method="GET", path="/v2"),
    Route(method="GET", path="/v2/health/live"),
    Route(method="GET", path="/v2/models/digits"),
    Route(method="GET", path="/v2/models/digits/ready"),
    *[Route(method="POST", path="/v2/models/digits/infer", parameters=("x",), body=INFERENCE)] * 8,
    Route(method="POST", path="/v2/models/{name}/versions/{version}/infer", body=INFERENCE),
    *[Route(method="POST", path="/v1/chat/completions", body=CHAT)] * 4,
    *[Route(method="POST", path="/v1/completions", body=COMPLETION)] * 4,
    *[Route(method="POST", path="/v1/embeddings", body=EMBEDDINGS)] * 2,
]
GATEWAY_ROUTES = [
    *REPLICA_ROUTES,
    Route(method="POST", path="/v2/models/{project}.{name}/infer", body=INFERENCE),
    Route(method="POST", path="/v2/models/away/infer", body=INFERENCE),
    Route(method="POST", path="/v2/repository/index", body={}),
    Route(method="GET", path="/metrics"),
    Route(method="GET", path="/v1/models"),
    Route(method="GET", path="/v1/models/{name}"),
    *[
        Route(method=method, path=f"/v1/{sort}")
        for sort in ("files", "batches")
        for method in ("GET", "POST")
    ],
    Route(method="POST", path="/v1/batches", body=BATCH),
    Route(method="GET", path="/v1/files/file-{name}"),
    Route(method="GET", path="/v1/files/file-{name}/content"),
    Route(method="DELETE", path="/v1/files/file-{name}"),
    Route(method="GET", path="/v1/batches/batch-{name}"),
    Route(method="POST", path="/v1/batches/batch-{name}/cancel"),
]


async def _asgi(app: Any, made: Case) -> list[Answer]:
    """Call it as a server would that has looked at nothing."""
    path = made.path
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": made.method, "scheme": "http",
        "path": unquote(path.decode("latin-1")), "raw_path": path, "query_string": made.query, "root_path": "",
        "headers": list(made.headers), "server": ("hall", 80), "client": _address(made), "state": {},
    }  # fmt: skip
    coming = [{"type": "http.request", "body": made.body, "more_body": False}]
    status, headers, body = 0, {}, b""

    async def receive() -> Any:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, headers, body
        if message["type"] == "http.response.start":
            status, headers = message["status"], dict(message["headers"])
        else:
            body += message.get("body", b"")

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - whatever gets out of it, a server would answer 500
        status, body = 500, repr(error).encode()
    return [Answer(status, headers, body)]


def _through(api: Any) -> Callable[[Case, int], Any]:
    """The API behind its own connection, fed with bytes."""
    config = uvicorn.Config(api, http=Connection, ws="none", lifespan="off", log_config=None)
    state = ServerState()

    async def ask(made: Case, seed: int) -> list[Answer]:
        connection = Connection(config, state, {})
        transport = Transport(connection, _address(made))
        connection.connection_made(transport)
        transport.feed(wire(made, seed))
        for turn in itertools.count():
            is_told = connection.cycle is None or connection.cycle.response_complete or transport.is_closing()
            is_endless = b"text/event-stream" in transport.written
            if is_told or is_endless or (connection._in_body and turn > TURNS):
                break
            await asyncio.sleep(
                0.0 if turn < TURNS else 0.0005
            )  # whatever is written is written by another thread
        transport.lose()
        return list(_answers(bytes(transport.written), made))

    return ask


@asynccontextmanager
async def _gateway(replica: Any, home: Path) -> AsyncIterator[Callable[[Case, int], Any]]:
    """The gateway over a store in memory, with a service that is there and one whose replica is not."""
    server = uvicorn.Server(
        uvicorn.Config(replica, port=0, lifespan="off", log_config=None, access_log=False, ws="none")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    there = StandIn("r0", address="{}:{}".format(*server.servers[0].sockets[0].getsockname()))
    store = MemoryStore()
    await store.commit([Put(resource=service(there)), Put(resource=service(name="away", try_timeout_s=0.01))])
    (home / "cache").mkdir(parents=True)
    shelf = FolderShelf(settings.load({}, home=home), Clock.now)
    limits, ids = Limits(), itertools.count()
    new_id = lambda: f"id-{next(ids)}"  # noqa: E731
    gateway = Gateway(
        store=store,
        authenticate=authenticate,
        spend=lambda lines: None,
        clock=Clock(),
        shelf=shelf,
        new_id=new_id,
    )
    running = asyncio.create_task(gateway.run())
    while not gateway.routes.loaded:
        await asyncio.sleep(0.01)
    peers: set[CallerConnection] = set()
    room = Room(limits.held_bytes)

    async def ask(made: Case, seed: int) -> list[Answer]:
        connection = CallerConnection(gateway, limits, new_id, peers, room)
        transport = Transport(connection, _address(made))
        connection.connection_made(transport)
        transport.feed(wire(made, seed))
        while connection._task is not None and not transport.is_closing():
            if connection._reader.open is not None and not connection._queue:
                connection.check(float("inf"))  # so much time goes by that whoever waits for more gives up
            await asyncio.sleep(0.0)
        gateway.outbox.flush()
        connection.check(float("inf"))
        await asyncio.sleep(0.0)
        gateway.outbox.flush()
        transport.lose()
        return list(_answers(bytes(transport.written), made))

    yield ask
    running.cancel()
    server.should_exit = True
    await serving
    if peers or room.left_bytes != limits.held_bytes:
        raise AssertionError(
            f"{len(peers)} callers and {limits.held_bytes - room.left_bytes} bytes are still held"
        )


def _replica() -> Any:
    """A replica of `digits` whose network adds numbers and says one word: all of the real one but the tensors."""
    tokenizer = _byte_pairs.train(["who goes there? " * 20])
    engine = _Says()
    teller = Teller(
        tokenizer=tokenizer, ends=frozenset({0}), length=64, template=ChatTemplate(None, {}), engine=engine,
        version="3f2a9c00",
    )  # fmt: skip
    generation = Generation(teller, Worker(engine, slots=8))
    batcher = Batcher(_Adds().answer, max_size=32, max_delay_s=0.0)
    return app_for("digits", "3f2a9c00", _Adds(), batcher, generation=generation)  # type: ignore[arg-type]


class _Says:
    alternatives, schemas, penalties, vectors = 20, True, True, True
    scores, counts_told, spent_s, memory_used = False, True, 0.0, None

    def __init__(self) -> None:
        self._keys: list[int] = []

    def add(self, key: int, prompt: Sequence[int], sampling: Sampling) -> None:
        self._keys.append(key)

    def step(self) -> list[Token]:
        told, self._keys = [Token(key, 70, "length") for key in self._keys], []
        return told

    def embed(self, texts: Sequence[Sequence[int]], adapter: str = "") -> list[list[float]]:
        return [[1.0] for _ in texts]

    def cancel(self, key: int) -> None:
        self._keys = [one for one in self._keys if one != key]

    def close(self) -> None:
        """Nothing runs beside."""


class _Adds:
    inputs = (Tensor(name="x", datatype="FP32", shape=(-1, 2)),)
    outputs = (Tensor(name="y", datatype="FP32", shape=(-1,)),)

    def answer(self, requests: Sequence[Any]) -> list[Any]:
        rows = [request["x"].data for request in requests]
        return [[Tensor(name="y", datatype="FP32", shape=(len(row) // 2,), data=[float(sum(row[i : i + 2]))
                 for i in range(0, len(row), 2)])] for row in rows]  # fmt: skip


class Transport(asyncio.Transport):
    """The socket's end of a connection, which keeps what is written."""

    def __init__(self, protocol: asyncio.Protocol, address: tuple[str, int]) -> None:
        super().__init__({"peername": address, "sockname": ("127.0.0.1", 80)})
        self.written = bytearray()
        self._protocol = protocol
        self._closing = self._lost = False

    def feed(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            if piece and not self._closing:
                self._protocol.data_received(piece)

    def lose(self) -> None:
        """Both sides have let go of it."""
        if not self._lost:
            self._lost = self._closing = True
            self._protocol.connection_lost(None)

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def _address(made: Case) -> tuple[str, int]:
    """Another one for each case, lest one stranger's guesses lock out all."""
    return f"10.{made.number >> 16 & 255}.{made.number >> 8 & 255}.{made.number & 255}", 40_000


def _answers(data: bytes, made: Case) -> Iterator[Answer]:
    """The answers in what was written; bytes that are none come as one with status 999."""
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        start = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        if start is None or not end:
            yield Answer(999, {}, head + end + data)
            return
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        status, body = int(start[1]), b""
        # An answer to HEAD has no body, but a refusal has, since it may not be known yet that it was HEAD.
        if status >= 200 and (made.method != "HEAD" or data.startswith(b"{")):
            is_until_the_end = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            if headers.get(b"transfer-encoding") == b"chunked" or is_until_the_end:
                yield Answer(status, headers, data)
                return
            length = int(headers.get(b"content-length", 0))
            body, data = data[:length], data[length:]
        yield Answer(status, headers, body)


def _structured(door: Door, answer: Answer) -> bool:
    """In the door's own shape; or, of the console, on a whole page."""
    if answer.headers.get(b"content-type", b"").startswith(b"text/html"):
        return answer.body.startswith(b"<!doctype html>") and answer.body.rstrip().endswith(b"</html>")
    if not answer.headers.get(b"content-type", b"").startswith(b"application/json"):
        return False
    try:
        return door.is_error(json.loads(answer.body))
    except ValueError:
        return False


def _is_api_error(said: Any) -> bool:
    error = said.get("error") if isinstance(said, dict) else None
    return isinstance(error, dict) and error.keys() == API_ERROR and bool(error["message"])


def _is_error_of_a_protocol(said: Any) -> bool:
    """Open Inference, or below /v1 OpenAI."""
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict):
        return error.keys() == OPENAI_ERROR and bool(error["message"])
    return isinstance(error, str) and bool(error)
