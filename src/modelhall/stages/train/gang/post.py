"""What the leader and a worker say to each other: JSON over a pipe of their own, or a connection. Never pickles.

at_hand, progress, metrics, output, kept, problem   of a worker to the leader
join, keep, leave                                   of the leader: form a group, write a checkpoint, leave the group
set                                                 of a worker to all others of its group (`meeting`)
alive                                               of whoever lends a worker (`lender`)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from modelhall.core.program import REPORT_EVERY_S, Reporter
from modelhall.stages.train.gang.group import Parted

Message = Mapping[str, Any]
LONGEST_BYTES = 2**20
"""Whoever says more is not one of the gang."""


def say(link: Connection, message: Message) -> None:
    """Raises OSError when nobody listens any more."""
    link.send_bytes(json.dumps(message).encode())


def hear(link: Connection) -> Message:
    """The next message, waited for. Raises EOFError when nobody speaks any more, OSError and ValueError for what is
    no message."""
    found: Message = json.loads(link.recv_bytes(LONGEST_BYTES))
    return found


class Post:
    """A worker's end."""

    def __init__(self, link: Connection) -> None:
        self._link = link

    def come_to_hand(self, step: int | None) -> Message:
        """Say that this worker is at hand, with the state after `step` steps or with none; what it is to do then:
        `join` a group, or `keep` its state in a checkpoint."""
        say(self._link, {"at_hand": step})
        while not (found := hear(self._link)).keys() & {"join", "keep"}:
            pass  # it is about the group that it has left
        return found

    def heed(self) -> None:
        """Raise Parted when the group is to be formed anew."""
        if self.has_news:
            self.hear()

    def hear(self, within_s: float | None = None) -> Message:
        """The next message to those of a group. Raises Parted when the leader has them leave it, or says nothing
        `within_s`."""
        if not self._link.poll(within_s):
            raise Parted(f"nothing was heard within {within_s} s")
        found = hear(self._link)
        if "leave" in found:
            raise Parted("the leader has called")
        return found

    @property
    def has_news(self) -> bool:
        """Whether there is something that was not heard yet."""
        return self._link.poll()

    def told(self, **message: Any) -> None:
        """Say anything else."""
        say(self._link, message)


class PostedReports(Reporter):
    """Reports that the leader hands on."""

    def __init__(self, post: Post, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._post = post
        self._monotonic = monotonic
        self._due = float("-inf")

    def progress(
        self, done: float, total: float | None, unit: str, *, message: str = "", done_before: float = 0
    ) -> None:
        now = self._monotonic()
        if now >= self._due or done == total:
            self._due = now + REPORT_EVERY_S
            self._post.told(progress=[done, total, unit, message])

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._post.told(metrics=[step, dict(values)])


class NoReports(Reporter):
    """Of a worker that is not the first, whose figures would be the same."""

    def __init__(self) -> None:
        """Nobody is told."""

    def progress(self, *_: Any, **__: Any) -> None:
        """Nobody is told."""

    def metrics(self, *_: Any) -> None:
        """Nobody is told."""
