"""The gateway itself: lets a request in, has it answered, and accounts for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from modelhall.core.access import Identity
from modelhall.core.errors import Denied, HallError, NotFound, NotYours
from modelhall.core.follower import Follower, Listener
from modelhall.core.kinds.limits import Price
from modelhall.core.ports.cache import Cache
from modelhall.core.ports.clock import Clock
from modelhall.core.ports.store import Store
from modelhall.core.ports.traces import Traces
from modelhall.core.ports.traffic import Traffic
from modelhall.core.ports.treasury import Treasury
from modelhall.gateway import tracing
from modelhall.gateway.admission import Admission
from modelhall.gateway.answers import Answers
from modelhall.gateway.asking import asking
from modelhall.gateway.batches import Batches
from modelhall.gateway.checks import check_all
from modelhall.gateway.desk import Desk
from modelhall.gateway.gate import Gate, OpenGate
from modelhall.gateway.limits import Limits
from modelhall.gateway.messages import CLIENT_CLOSED, Request, Response, as_json, refusal
from modelhall.gateway.metrics import CONTENT_TYPE, Metrics
from modelhall.gateway.open_inference import OpenInference
from modelhall.gateway.openai import OpenAI
from modelhall.gateway.openai_files import Files
from modelhall.gateway.outbox import Outbox, Spend
from modelhall.gateway.pulse import Pulse
from modelhall.gateway.purses import Purses
from modelhall.gateway.record import Record
from modelhall.gateway.routes import Routes
from modelhall.gateway.server import Server, until_told_to_stop
from modelhall.gateway.shelf import Shelf
from modelhall.gateway.terms import TermsBook

GC_THRESHOLDS = (20_000, 20, 50)
"""A request leaves behind nothing that refers to itself, so there is little for the collector to find."""
FIRST_LOOK_S = 2.0
"""The wait for the store before a gateway says that it is there."""


async def serve(
    gateway: Gateway,
    host: str,
    port: int,
    *,
    new_id: Callable[[], str],
    listening: Callable[[str, int], None] = lambda host, port: None,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    grace_s: float = 30.0,
) -> None:
    """Serve at an address until SIGTERM or SIGINT, then let what has been asked be answered within `grace_s`.

    `new_id` names requests. `listening` is told the address as soon as callers are accepted; port 0 takes a
    free one. Raises Rejected when the address cannot be had.
    """
    server = Server(gateway, new_id, limits)
    address = await server.listen(host, port, lets_in=gateway.gate.lets_in, tls=tls)
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again and again
    gc.set_threshold(*GC_THRESHOLDS)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gateway.run())
        # Who asks at once is to find its service. A store that is gone is waited for by those who ask.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gateway.routes.known.wait(), FIRST_LOOK_S)
        listening(*address)
        await until_told_to_stop()
        await server.close(grace_s)
        running.cancel()
    gateway.outbox.flush()


Authenticate = Callable[[bytes | None], Identity]
"""The value of the Authorization header → who that is; raises Denied."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What limits and budgets are kept with."""

    treasury: Treasury
    holder: str
    """The name under which this gateway draws, and no other one ever does."""
    least: Price = field(default_factory=Price)
    """The hall's prices; no service's is lower."""


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """Where answers are kept."""

    cache: Cache
    key: bytes
    """What their names are made with, so that nobody else can tell what was asked."""


class Protocol(typing.Protocol):
    """What is asked for below one word of the path."""

    def answer(self, request: Request, who: Identity, record: Record) -> Awaitable[Response]: ...


class Gateway:
    """Answers requests for the services in a store; give it to a `Server`, and let `run` run beside."""

    def __init__(
        self,
        *,
        store: Store,
        authenticate: Authenticate,
        spend: Spend,
        clock: Clock,
        gate: Gate | None = None,
        listeners: Sequence[Listener] = (),
        replica_key: str = "",
        shelf: Shelf | None = None,
        new_id: Callable[[], str] = str,
        drawing: Drawing | None = None,
        keeping: Keeping | None = None,
        traces: Traces | None = None,
        traffic: Traffic | None = None,
        name: str = "gateway",
    ) -> None:
        """What `spend` cannot take down does not fail a request. `listeners` are kept
        up with the store too, such as what `authenticate` goes by; `replica_key` is what replicas are asked with.
        Files and batches are kept on the `shelf`, if there is one; `new_id` names requests of batches. Without
        `drawing` nothing is limited, without `keeping` no answer is kept. Spans go to `traces`, if there are any, and
        what this gateway sees of requests to `traffic`, under its `name`."""
        self._authenticate = authenticate
        self.outbox = Outbox(spend)
        self._traces = traces
        self._clock = clock
        self.gate = gate or OpenGate()
        self.routes = Routes(self.outbox, replica_key)
        self._new_id = new_id
        self._batches: Batches | None = None
        self.metrics = Metrics()
        terms = TermsBook(drawing.least if drawing else Price())
        self._purses = Purses(drawing.treasury, drawing.holder, clock) if drawing else None
        self._answers = self._keeping(keeping)
        desk = Desk(
            clock.monotonic,
            admission=Admission(terms, self._purses, clock) if self._purses else None,
            answers=self._answers,
        )
        self.follower = Follower(store, self.routes, terms, *listeners)
        self._pulse = (
            Pulse(name, self.routes, traffic, clock, lambda: self.follower.revision)
            if traffic is not None
            else None
        )
        self.protocols: dict[bytes, Protocol] = {
            b"v1": OpenAI(self.routes, desk, self._files(shelf)),
            b"v2": OpenInference(self.routes, desk, clock.monotonic),
        }
        """By the first word of the path."""

    async def run(self) -> None:
        """Follow the store and check the replicas, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.follow())
            group.create_task(check_all(self.routes, self._clock.monotonic))
            if self._pulse is not None:
                group.create_task(self._pulse.run())
            if self._batches is not None:
                group.create_task(self._batches.run())
            if self._purses is not None:
                group.create_task(self._purses.run())

    async def handle(self, request: Request, who: Identity | None = None) -> None:
        """Answer a request, whatever comes, and account for it; `who` is given where that is known already, as of a
        request of a batch."""
        record = Record(at=self._clock.now(), started=self._clock.monotonic())
        self.metrics.in_flight += 1
        if self._traces is not None:
            record.span = tracing.begin(self._traces, request)
        try:
            try:
                asks = self._admit(request) if who is None else who
                if isinstance(asks, Response):
                    response = asks
                else:
                    who = asks
                    response = await self._ask(who, request, record)
            except HallError as error:
                response = self._refusal(error, request, who)
            record.status = response.status
            if isinstance(response.body, bytes):
                record.bytes_out = len(response.body)
                self._account(request, record)  # before it leaves: a crash must not make an answer free
            record.bytes_out = await request.answer(response)
        except asyncio.CancelledError:
            record.status = CLIENT_CLOSED
            raise
        except HallError as error:  # the reply broke off when its beginning had gone to the caller already
            record.status = error.status
            raise
        finally:
            self.metrics.in_flight -= 1
            self._account(request, record)

    def _keeping(self, keeping: Keeping | None) -> Answers | None:
        if keeping is None:
            return None
        return Answers(keeping.cache, keeping.key, self._clock.monotonic, self.metrics.looked_up)

    def _files(self, shelf: Shelf | None) -> Files | None:
        if shelf is None:
            return None
        self._batches = Batches(shelf, asking(self.handle, self._new_id), self._clock.now)
        return Files(shelf, self._batches, self._clock.now)

    def refused(self, status: int) -> None:
        self.metrics.refused(status)

    def _admit(self, request: Request) -> Identity | Response:
        """Who asks, or the response where that is settled already: nobody gets further than health who has not shown
        who he is. Raises HallError."""
        path = request.path
        self.gate.admit(request.address, request.method.decode(), request.headers)
        if path == b"/v2/health/live":
            return as_json({"live": True})
        if path == b"/v2/health/ready":
            return as_json({"ready": self.routes.loaded}, 200 if self.routes.loaded else 503)
        identity = self._identify(request)
        if path == b"/metrics":
            return self._measured(identity)
        return identity

    def _ask(self, identity: Identity, request: Request, record: Record) -> Awaitable[Response]:
        """What somebody who is known is answered; raises HallError."""
        protocol = self.protocols.get(request.path.split(b"/", 2)[1])
        if protocol is None:
            raise NotFound("there is nothing at this path; models are under /v1 and /v2")
        record.user = identity.name
        return protocol.answer(request, identity, record)

    def _refusal(self, error: HallError, request: Request, who: Identity | None) -> Response:
        """What he is told who is refused; the gate is told who asked for what is not his."""
        if isinstance(error, NotYours) and who is not None:
            self.gate.refused(who, error.project, request.address)
        return refusal(error, request.path)

    def _identify(self, request: Request) -> Identity:
        """Who is asking; the gate is told what came of it, and may refuse still."""
        try:
            identity = self._authenticate(request.headers.get(b"authorization"))
        except Denied:
            self.gate.unknown(request.address, request.headers)
            raise
        self.gate.known(identity, request.address, request.headers)
        return identity

    def _measured(self, identity: Identity) -> Response:
        """The metrics name every project's services, so they are for those who run the hall."""
        if "operate" not in identity.everywhere:
            raise Denied("/metrics is for the hall's operators")
        self.metrics.unmetered = self.outbox.lost
        self.metrics.unlimited = self._purses.unchecked if self._purses else 0
        self.metrics.cache_bytes = self._answers.size_bytes if self._answers else None
        body = self.metrics.render(self.routes)
        return Response(status=200, headers=((b"content-type", CONTENT_TYPE),), body=body)

    def _account(self, request: Request, record: Record) -> None:
        """Count the request and write down its usage, once."""
        if record.accounted:
            return
        record.accounted = True
        if record.admitted is not None:
            record.charge_nano = record.admitted.settle(record)
        duration_s = self._clock.monotonic() - record.started
        self.metrics.over(record, duration_s)
        if record.span is not None:
            tracing.end(record.span, request, record)
        line = record.usage(request.id, duration_s)
        if line is not None:
            self.outbox.spend(line)
