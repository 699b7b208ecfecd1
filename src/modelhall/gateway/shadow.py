"""Copies of requests for a version that nobody is answered by: what it would have said, how long it takes, whether it
fails.

A copy is sent once the caller has his answer, so it takes nothing from him. It is charged to nobody and stands in no
journal. There are only a few at a time; the rest is dropped, and counted, and so is all while callers have to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from modelhall.core.errors import NotNow
from modelhall.gateway.endpoint import Endpoint
from modelhall.gateway.likeness import alike
from modelhall.gateway.reply import Failure
from modelhall.gateway.upstream import Patience

MOST_AT_ONCE = 8
MOST_BYTES = 1024 * 1024
"""A larger request is not copied."""


class Copy(NamedTuple):
    """A request as the replica was sent it, and what came of it."""

    line: bytes
    headers: bytes
    body: bytes
    answer: bytes | None
    """None of one that was told in pieces."""
    now: float


class Shadow:
    """Sends a share of one service's requests a second time."""

    def __init__(self) -> None:
        self._due = 0.0
        self._at_work: set[asyncio.Task[None]] = set()

    def is_due(self, share: float) -> bool:
        """Whether it is the turn of this request to be copied: of ten with a share of 0.3, three."""
        self._due += share
        if self._due < 1:
            return False
        self._due -= 1
        return True

    def send(self, copy: Copy, replicas: Sequence[Endpoint], patience: Patience, *, busy: bool) -> None:
        """Send a copy to one of these replicas, or drop it; nothing is waited for."""
        there = [replica for replica in replicas if replica.healthy]
        if busy or not there or len(self._at_work) >= MOST_AT_ONCE or len(copy.body) > MOST_BYTES:
            for counting in {replica.counting for replica in replicas if replica.counting is not None}:
                counting.dropped += 1
            return
        replica = min(there, key=lambda one: one.in_flight)
        task = asyncio.create_task(_send(copy, replica, patience))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    def close(self) -> None:
        for task in self._at_work:
            task.cancel()


async def _send(copy: Copy, replica: Endpoint, patience: Patience) -> None:
    """Have the replica answer to the end, and count what comes of it."""
    counting = replica.counting
    if counting is None:
        return
    try:
        reply = await counting.of(replica.send(copy.line, copy.headers, copy.body, patience))
        whole = None if reply.in_pieces else reply.whole()
        reply.close()  # of one too large to be held the rest is not wanted
    except Failure as failure:
        replica.failed(failure.evidence, failure.message, copy.now)
        return
    except NotNow:
        counting.dropped += 1  # no socket left to ask with, which says nothing about the replica
        return
    same = alike(copy.answer, whole) if copy.answer is not None and whole is not None else None
    if same is not None:
        counting.compared += 1
        counting.differing += not same
