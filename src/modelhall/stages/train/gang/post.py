"""What the leader and a worker say to each other: JSON over a pipe of their own. Never pickles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from modelhall.core.program import REPORT_EVERY_S, Reporter
from modelhall.stages.train.gang.group import Parted

Message = Mapping[str, Any]


def say(link: Connection, message: Message) -> None:
    """Raises OSError when nobody listens any more."""
    link.send_bytes(json.dumps(message).encode())


def hear(link: Connection) -> Message:
    """The next message, waited for. Raises EOFError when nobody speaks any more."""
    found: Message = json.loads(link.recv_bytes())
    return found


class Post:
    """A worker's end."""

    def __init__(self, link: Connection) -> None:
        self._link = link

    def come_to_hand(self, step: int | None) -> Message:
        """Say that this worker is at hand, with the state after `step` steps or with none; what it is to do then:
        `join` a group."""
        say(self._link, {"at_hand": step})
        while "join" not in (found := hear(self._link)):
            pass  # it was to leave the group that it has left
        return found

    def heed(self) -> None:
        """Raise Parted when the group is to be formed anew."""
        if self._link.poll():
            hear(self._link)
            raise Parted("the leader has called")

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
