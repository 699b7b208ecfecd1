"""One replica as this gateway knows it: its address, kept connections, requests in flight, and health."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
from collections.abc import Callable

from modelhall.core.adapter_names import called
from modelhall.core.errors import NotNow
from modelhall.core.kinds import service
from modelhall.core.replica_key import HEADER
from modelhall.core.versions import is_meant
from modelhall.gateway.counting import Counting
from modelhall.gateway.health import Evidence, Health, after_answer, after_check, after_failure
from modelhall.gateway.outbox import Outbox
from modelhall.gateway.pacing import Pacer
from modelhall.gateway.reply import Failure, Reply
from modelhall.gateway.upstream import Connection, Patience
from modelhall.policy.prefixes import Prefixes

log = logging.getLogger(__name__)


SENT_BLOCKS = 16_384
"""Blocks of prompts that are remembered of a replica: 4 MB of text, about a million tokens."""
LATENCY_WEIGHT = 0.1
"""What the newest answer counts in a replica's latency."""
RECENT_S = 30.0
"""In about this time it is forgotten what a replica had to read."""


class Endpoint:
    """Sends requests to one replica and keeps what is learnt about it on the way: a balancing policy's `Replica`."""

    def __init__(
        self,
        replica: service.Replica,
        service_name: str,
        key: str,
        outbox: Outbox,
        changed: Callable[[], None],
        is_last: Callable[[Endpoint], bool],
    ) -> None:
        """`key` is what replicas are asked with, and that leaves by `outbox`. `changed` is called when it goes out or
        comes back, `is_last` tells whether no other could be asked."""
        assert replica.address is not None
        host, _, port = replica.address.rpartition(":")
        self.replica = replica
        self.name = replica.run
        self.release = replica.release
        self._versions = {"": (replica.version, replica.number)} | {
            name: (one.version, one.number) for name, one in replica.adapters.items()
        }
        """What answers by each adapter, and by the service's own model, which has no name."""
        self._told = {
            name: f"{called(service_name, name)}@{number or version[:12]}".encode()
            for name, (version, number) in self._versions.items()
        }
        self.counting: Counting | None = None
        """Counts what comes of its requests, while somebody wants to know."""
        self.health = Health()
        self.healthy = True
        self.in_flight = 0
        self.latency_s = 0.0
        self.recent_blocks = 0.0
        self.sent = Prefixes(SENT_BLOCKS)
        """The prompts it was sent, where the policy goes by them."""
        self._counted_at = 0.0
        self._outbox = outbox
        self._pacer = Pacer()
        self._changed = changed
        self._is_last = is_last
        self._host, self._port = host.strip("[]"), int(port)
        key_line = b"%b: %b\r\n" % (HEADER, key.encode()) if key else b""
        self._own_lines = b"host: %b\r\n%b" % (replica.address.encode(), key_line)
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._closed = False

    def serves(self, adapter: str) -> bool:
        return adapter in self._versions

    def is_of(self, version: str, adapter: str) -> bool:
        """Whether it answers in this version, by its number or the beginning of its id."""
        return adapter in self._versions and is_meant(version, *self._versions[adapter])

    def version_of(self, adapter: str) -> str:
        """The version that answers by an adapter it serves."""
        return self._versions[adapter][0]

    def told_version(self, adapter: str) -> bytes:
        """What its answers by an adapter say they are of."""
        return self._told[adapter]

    async def send(
        self, line: bytes, headers: bytes, body: bytes, patience: Patience, *, repeatable: bool = True
    ) -> Reply:
        """Send a request and wait for the reply, or its beginning if it comes in pieces; raises Failure.

        A kept connection that turns out to be closed is no failure of the replica: a `repeatable` request
        is then sent once more, on another.
        """
        while True:
            kept = self._kept()
            self.in_flight += 1
            started = self._loop.time()
            try:
                connection = kept or await self._connect(patience.first_s)
            except BaseException:
                self.in_flight -= 1
                raise
            head = b"".join((line, self._own_lines, headers))
            reply = connection.send(head, body, patience, self._uncount)
            try:
                await reply.arrive()
            except Failure as failure:
                if kept and failure.stale and repeatable:
                    continue
                raise
            took_s = reply.began_at - started
            self.latency_s += (took_s - self.latency_s) * (LATENCY_WEIGHT if self.latency_s else 1.0)
            return reply

    def shares(self, blocks: list[int]) -> int:
        """How many of these blocks it was sent before; what it had to read lately counts for less by now."""
        now = self._loop.time()
        self.recent_blocks *= math.exp((self._counted_at - now) / RECENT_S)
        self._counted_at = now
        return self.sent.shared(blocks)

    def reads(self, blocks: list[int]) -> None:
        """It is sent a prompt of these blocks."""
        self.recent_blocks += len(blocks) - self.shares(blocks)
        self.sent.add(blocks)

    def answered(self) -> None:
        """A request was answered well."""
        if self.health.bad_answers:
            self.health = after_answer(self.health)

    def failed(self, evidence: Evidence, reason: str, now: float) -> None:
        """A request failed."""
        if self.counting is not None:
            self.counting.failures += 1
        self.check_failed(evidence, reason, now)

    def check_failed(self, evidence: Evidence, reason: str, now: float) -> None:
        """It did badly, whoever asked."""
        self._judge(after_failure(self.health, evidence, reason, now, last=self._is_last(self)))

    def checked(self, now: float) -> None:
        """A check was answered well."""
        self._judge(after_check(self.health, now))

    def close(self) -> None:
        """The replica is no longer ready: keep no connection to it. What is in flight goes on to its end."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _judge(self, health: Health) -> None:
        went_out, came_back = health.out and not self.health.out, self.health.out and not health.out
        answers = health.answers and not self.health.answers
        self.health = health
        if went_out:
            log.warning("replica.out replica=%s until=%.1f reason=%s", self.name, health.until, health.reason)
        if came_back:
            log.info("replica.back replica=%s", self.name)
        if went_out or came_back or answers:
            self.healthy = not health.out
            self._changed()

    def _kept(self) -> Connection | None:
        """The connection used last, which is the least likely to have been closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, timeout_s: float) -> Connection:
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self.name, self._idle, self._outbox, self._pacer),
                    self._host,
                    self._port,
                )
        except TimeoutError:
            message = f"replica {self.name} did not accept a connection within {timeout_s:g} s"
            raise Failure(message, Evidence.SLOW, sent=False) from None
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise NotNow("the gateway has no socket left for this request", delay_s=1.0) from None
            message = f"replica {self.name} could not be reached: {error.strerror or error}"
            raise Failure(message, Evidence.GONE, sent=False) from None
        return connection

    def _uncount(self) -> None:
        self.in_flight -= 1
        if self._closed:
            self.close()
