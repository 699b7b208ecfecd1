"""A gateway on a free port, over a store in memory, with quick checks and little patience."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from programs import Program, Start
from stand_ins import Answer, Caller, Clock, StandIn, authenticate, request, service

from modelhall.adapters.cache.memory import MemoryCache
from modelhall.adapters.store.memory import MemoryStore
from modelhall.adapters.traffic.memory import MemoryTraffic
from modelhall.adapters.treasury.memory import MemoryTreasury
from modelhall.core import follower
from modelhall.core.kinds import AnyResource, Key
from modelhall.core.kinds.limits import Price
from modelhall.core.ports.book import Usage, UsageLine
from modelhall.core.ports.cache import Cache
from modelhall.core.ports.store import Delete, Put
from modelhall.core.ports.traces import Traces
from modelhall.core.ports.treasury import Treasury
from modelhall.gateway import checks
from modelhall.gateway.caller import Limits
from modelhall.gateway.gateway import Drawing, Gateway, Keeping
from modelhall.gateway.reader import Sizes
from modelhall.gateway.server import Server
from modelhall.gateway.shelf import Shelf

LIMITS = Limits(
    sizes=Sizes(head_bytes=4096, headers=20, body_bytes=100_000),
    idle_s=0.6, head_s=0.3, body_s=0.3, write_s=0.5, linger_s=0.5, check_s=0.05, body_bytes_s=10_000,
    held_bytes=300_000,
)  # fmt: skip


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"use_uvloop": True}


class Hall:
    """The gateway under test, its store, and those who talk to it."""

    def __init__(
        self,
        shelf: Shelf | None = None,
        *,
        treasury: Treasury | None = None,
        cache: Cache | None = None,
        least: Price | None = None,
        holder: str = "here",
        traces: Traces | None = None,
    ) -> None:
        self.traces = traces
        self.traffic = MemoryTraffic()
        self.treasury = treasury or MemoryTreasury()
        drawing = Drawing(treasury=self.treasury, holder=holder, least=least or Price())
        keeping = Keeping(cache=cache or MemoryCache(2**20, Clock.monotonic), key=b"k")
        self.store = MemoryStore()
        self.usage: list[Usage] = []
        counter = itertools.count(1)
        new_id = lambda: f"id-{next(counter)}"  # noqa: E731
        self.gateway = Gateway(
            store=self.store, authenticate=authenticate, spend=self._spend, clock=Clock(), shelf=shelf,
            new_id=new_id, drawing=drawing, keeping=keeping, traces=traces, traffic=self.traffic,
        )  # fmt: skip
        self.server = Server(self.gateway, new_id, LIMITS)
        self._callers: list[Caller] = []
        self._replicas: list[StandIn] = []

    def _spend(self, lines: Sequence[UsageLine]) -> None:
        self.usage += [Usage(**line) for line in lines]  # type: ignore[arg-type]

    async def start(self) -> None:
        self.address = await self.server.listen("127.0.0.1", 0)
        self._running = asyncio.ensure_future(self.gateway.run())

    async def stop(self) -> None:
        self._running.cancel()
        for caller in self._callers:
            caller.abort()
        for replica in self._replicas:
            replica.die()
        await self.server.close(grace_s=0)

    async def replica(self, name: str = "r0", **behaviour: Any) -> StandIn:
        replica = await StandIn(name, **behaviour).start()
        self._replicas.append(replica)
        return replica

    async def declare(self, *replicas: StandIn, **document: Any) -> None:
        """Make the store hold this service, and wait until the gateway has heard of it."""
        await self.put(service(*replicas, **document))

    async def put(self, wanted: AnyResource) -> None:
        """Make the store hold this, and wait until the gateway has heard of it."""
        stored = await self.store.get(wanted.key)
        revision = stored.revision if stored else 0
        (put,) = await self.store.commit([Put(resource=wanted.model_copy(update={"revision": revision}))])
        await self._heard(put.revision)

    async def remove(self, name: str, project: str = "default") -> None:
        stored = await self.store.get(Key("service", project, name))
        assert stored is not None
        await self.store.commit([Delete(key=stored.key, revision=stored.revision)])
        await self._heard(stored.revision + 1)

    async def serving(self, *behaviours: Any, **document: Any) -> list[StandIn]:
        """Declare `digits` with one replica for each behaviour."""
        replicas = [await self.replica(f"r{i}", behave=behave) for i, behave in enumerate(behaviours)]
        await self.declare(*replicas, **document)
        return replicas

    async def caller(self) -> Caller:
        caller = Caller(*await asyncio.open_connection(*self.address))
        self._callers.append(caller)
        return caller

    async def ask(self, *given: Any, **more: Any) -> Answer:
        """One request on a connection of its own."""
        caller = await self.caller()
        caller.send(request(*given, **more))
        answer = await caller.answer()
        caller.close()
        return answer

    async def metrics(self) -> str:
        return (await self.ask("/metrics", b"", method="GET")).body.decode()

    async def _heard(self, revision: int) -> None:
        while self.gateway.follower.revision < revision:
            await asyncio.sleep(0.005)


@pytest.fixture
async def hall(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hall]:
    monkeypatch.setattr(follower, "LOOK_S", 0.02)
    monkeypatch.setattr(checks, "CHECK_EVERY_S", 0.1)
    monkeypatch.setattr(checks, "CHECK_TIMEOUT_S", 0.5)
    hall = Hall()
    await hall.start()
    yield hall
    await hall.stop()


@pytest.fixture
def gateway_with() -> type[Hall]:
    """Makes a gateway with a shelf of one's own, or none; it is to be started and stopped."""
    return Hall


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts programs, which are killed at the end."""
    programs: list[Program] = []

    def start(name: str, *arguments: object) -> Program:
        programs.append(Program(name, *arguments))
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()
